"""What loosens takes a proof of the last minutes; stopping never does, nor does a key."""

import json
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from execution_site.console.table_rights import CONSOLE
from execution_site.rest.permissions import API, ENDPOINTS, NEEDS, PROVED_ENDPOINTS, Right
from execution_site.sign_in.sign_ins import FRESH, SignIn
from orders.models import ApiClient
from orders.models.client import issue_key
from risk.models import KillSwitch, RiskLimit, SystemControl
from tests.execution_site.rest import permission_cast as cast
from tests.execution_site.sign_in.second_factors import PASSWORD, code, enrolled, signed_in

#: Tables whose rows are limits, what limits are measured by, keys, credentials and rights.
PROVED = {
    "auth.user",
    "auth.group",
    "brokers.brokerconnection",
    "brokers.contractterms",
    "brokers.exchangesession",
    "brokers.instrument",
    "portfolio.interestrate",
    "risk.breaker",
    "risk.risklimit",
    "risk.symbolrule",
    "risk.foureyesrule",
    "risk.changerequest",
    "orders.apiclient",
    "orders.apikey",
}
ACTIONS = {
    "release_kill",
    "switch_to_guide",
    "switch_to_supervised",
    "switch_to_autonomous",
    "switch_live_on",
    "switch_live_off",
}


@pytest.fixture
def rita(account, valkey):
    return User.objects.create_superuser("rita", password=PASSWORD)


def stale(user):
    http = signed_in(user)
    SignIn.objects.update(proved_at=timezone.now() - FRESH)
    return http


def post(http, path, body):
    return http.post(f"/{API}{path}", json.dumps(body), content_type="application/json")


def kill(*, active):
    return {"active": active, "scope": {"account": "paper"}, "reason": "a drill"}


def is_asked(answer):
    if answer.status_code == 302:
        return answer["Location"].startswith("/confirm/?undone=1&next=/admin/")
    return answer.status_code == 403 and b'"step_up_required"' in answer.content


def test_what_is_proved_stands_in_the_table_of_rights():
    tables = {label for label, table in CONSOLE.items() if table.proved}
    actions = {
        name
        for table in CONSOLE.values()
        for name in table.actions
        if not table.proved and table.takes_proof(name)
    }

    assert {right for right, need in NEEDS.items() if need.proved} == {
        Right.RESET_BREAKER,
        Right.RELEASE_KILL,
        Right.CHANGE_MODE,
    }
    assert (tables, actions) == (PROVED, ACTIONS)
    assert set(ENDPOINTS) >= PROVED_ENDPOINTS


@pytest.mark.parametrize("label", CONSOLE)
def test_each_form_and_action_of_the_console_is_asked_as_the_table_says(rita, label):
    http = stale(rita)
    name = f"admin:{label.replace('.', '_')}"
    forms = [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
    forms += [reverse(f"{name}_{page}", args=[rita.pk]) for page in ("change", "delete")]
    if label == "auth.user":
        forms.append(reverse("admin:auth_user_password_change", args=[rita.pk]))
    if label == "risk.risklimit":
        forms.append(reverse("admin:risk_risklimit_end"))
    kept = RiskLimit.objects.count(), User.objects.get(pk=rita.pk).password

    for form in forms:
        assert is_asked(http.post(form, {"is_superuser": ""})) == (label in PROVED), form
    for action in CONSOLE[label].actions:
        answer = http.post(forms[0], {"action": action, "_selected_action": "0", "reason": "x"})
        assert is_asked(answer) == (label in PROVED or action in ACTIONS), action
    assert kept == (RiskLimit.objects.count(), User.objects.get(pk=rita.pk).password)


def test_reading_is_never_asked(rita):
    http = stale(rita)
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        assert http.get(reverse(name)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("system/kill-switch", kill(active=True), False),
        ("system/kill-switch", kill(active=False), True),
        ("system/mode", {"mode": "GUIDE", "reason": "a drill"}, True),
        ("system/breakers/1/reset", {"reason": "a drill"}, True),
        ("orders/cancel-all", {}, False),
        ("positions/flatten", {"account": "paper", "reason": "a drill"}, False),
        ("proposals/{}/approve", {"reason": "a drill"}, True),
        ("proposals/{}/decline", {"reason": "a drill"}, False),
    ],
)
def test_the_api_asks_a_person_for_what_loosens_and_a_key_never(rita, path, body, asked):
    kept = SystemControl.objects.get().mode
    path = path.format(cast.proposal("paper").pk)

    answer = post(stale(rita), path, body)
    assert is_asked(answer) == asked
    assert SystemControl.objects.get().mode == kept
    if asked:
        assert "do it again" in answer.json()["detail"]
        assert not is_asked(post(signed_in(rita), path, body))

    client = ApiClient.objects.create(name="robot", owner=rita)
    client.accounts.add(cast.BrokerConnection.objects.get(name="paper"))
    scopes = ["read", "trade", "approve", "control", "release", "installation"]
    text = issue_key(client, scopes=scopes)[1]
    robot = Client(headers={"authorization": f"Api-Key {text}"})
    assert not is_asked(post(robot, path, body))


def test_who_may_only_release_is_asked_before_the_body_is_read(rita):
    user = cast.person("olga", {Right.RELEASE_KILL})

    assert is_asked(post(stale(user), "system/kill-switch", {}))


def test_after_the_proof_one_is_back_and_does_it_again(rita):
    http = stale(rita)
    form = reverse("admin:risk_systemcontrol_changelist")
    sent = {"action": "switch_to_guide", "_selected_action": "1", "reason": "a drill"}

    asked = http.post(form, sent)
    page = http.get(asked["Location"])
    assert b"was not done" in page.content
    back = http.post(asked["Location"], {"password": PASSWORD, "next": page.context["next"]})
    assert back["Location"] == form
    assert SystemControl.objects.get().mode == "AUTONOMOUS"  # nothing is sent for anybody
    assert b"do it again" in http.get(form).content

    http.post(form, sent)
    assert SystemControl.objects.get().mode == "GUIDE"


def test_who_has_an_authenticator_gives_its_code_and_no_password(rita):
    secret, codes = enrolled(rita)
    http = signed_in(rita)
    http.post("/confirm/", {"code": codes[0]})
    SignIn.objects.update(proved_at=timezone.now() - FRESH)

    http.post("/confirm/", {"password": PASSWORD})
    assert is_asked(post(http, "system/mode", {"mode": "GUIDE", "reason": "x"}))
    http.post("/confirm/", {"code": code(secret)})
    assert post(http, "system/mode", {"mode": "GUIDE", "reason": "x"}).status_code == 200


def test_a_proof_counts_for_five_minutes(rita):
    http = signed_in(rita)
    SignIn.objects.update(proved_at=timezone.now() - FRESH + timedelta(seconds=20))
    assert not is_asked(post(http, "system/kill-switch", kill(active=False)))

    SignIn.objects.update(proved_at=timezone.now() - FRESH)
    assert is_asked(post(http, "system/kill-switch", kill(active=False)))
    assert not KillSwitch.objects.exists()
