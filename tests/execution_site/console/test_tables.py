"""The console: what may be changed has a reason and an audit row; the rest is to be read."""

import re
from decimal import Decimal

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from execution_site.floor.events import Event
from execution_site.models import Seal
from orders.models import ApiKey, Order
from orders.models.client import issue_key
from orders.sending import submission
from risk.kills import engaged
from risk.models import RiskLimit, SymbolRule, SystemControl
from tests.orders.api.signals import FINE, URL

EDITABLE = {
    "Breaker",
    "ContractTerms",
    "ExchangeSession",
    "InterestRate",
    "RiskLimit",
    "SymbolRule",
    "ApiClient",
    "ApiKey",
    "BrokerConnection",
    "Instrument",
}
EDITABLE |= {"User", "Group"}  # Django's own
#: Disabled or ended, never deleted: verdicts and the log name them.
KEPT = {"BrokerConnection", "Breaker", "RiskLimit", "ApiKey"}
#: Made by a command, which shows the secret once.
MADE_ELSEWHERE = {"ApiKey"}
#: Added, and then ended by two people or not at all.
ENDED_BY_TWO = {"FourEyesRule"}


@pytest.fixture
def console(risk_manager, valkey):
    client = Client()
    client.force_login(risk_manager)
    return client


@pytest.fixture
def limit(account):
    return RiskLimit.objects.create(
        connection=account, metric="daily_trades", value=Decimal(10), note="start"
    )


def audits():
    return [event.data for event in Event.objects.filter(type="audit").order_by("pk")]


def act(console, action, *, reason="because", on="risk_systemcontrol", pk=1):
    url = reverse(f"admin:{on}_changelist")
    data = {"action": action, "_selected_action": pk, "index": 0, "reason": reason}
    answer = console.post(url, data, follow=True)
    return [str(message) for message in answer.context["messages"]]


def change(console, limit, **values):
    url = reverse("admin:risk_risklimit_change", args=[limit.pk])
    form = {"connection": limit.connection_id, "metric": limit.metric, "note": limit.note}
    form |= {"value": "10"} | values
    shown = console.post(url, form).context["shown"]
    return console.post(url, form | {"shown": shown, "_confirm": "1"})


@pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda m: m.__name__)
def test_who_may_edit_what(model, risk_manager):
    request = RequestFactory().get("/")
    request.user = risk_manager
    shown = admin.site._registry[model]
    can = [shown.has_add_permission(request), shown.has_change_permission(request)]
    can += [shown.has_delete_permission(request), "delete_selected" in shown.get_actions(request)]

    if model.__name__ in {"User", "Group"}:
        assert can == [True, True, True, False]  # one by one, with a reason
    elif model.__name__ in ENDED_BY_TWO:
        assert can == [True, False, False, False]
    else:
        edited = model.__name__ in EDITABLE
        kept = model.__name__ in KEPT
        added = edited and model.__name__ not in MADE_ELSEWHERE
        assert can == [added, edited, edited and not kept, False]


OURS = ("execution_site", "brokers", "portfolio", "risk", "orders")


@pytest.mark.parametrize("model", list(apps.get_models()), ids=lambda m: m.__name__)
def test_names_are_english(model):
    name, plural = str(model._meta.verbose_name), str(model._meta.verbose_name_plural)
    application = str(apps.get_app_config(model._meta.app_label).verbose_name)

    assert not re.search(r"(ch|sh|s|x|z)s$|[^aeiou]ys$", plural), plural
    assert not re.search(r"\b(api|pnl)\b", f"{name} {plural}"), plural
    if model._meta.app_label in OURS:
        assert application.istitle()
        assert "_" not in application


def test_decimals_of_the_console_have_no_padding(console, trader_key, quote, limit, account):
    """In lists, in forms, and where they are only read."""
    RiskLimit.objects.filter(pk=limit.pk).update(value=Decimal(50_000))
    quote("AAPL", bid=99, ask=101)
    api = Client(headers={"authorization": trader_key})
    order = api.post(URL, FINE, content_type="application/json").json()["order"]["id"]
    submission.transmit(order, now=timezone.now())
    seen = 0
    for model in admin.site._registry:
        decimals = [f.name for f in model._meta.fields if isinstance(f, models.DecimalField)]
        row = model._default_manager.first()
        if not decimals or row is None:
            continue
        seen += 1
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for address in (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])):
            html = console.get(address).content.decode()
            padded = re.findall(r"[>\"' ]-?[0-9]+\.[0-9]*0(?=[<\"' ])", html)
            assert padded == [], address
    assert seen > 8
    assert (
        'value="50000"'
        in console.get(reverse("admin:risk_risklimit_change", args=[limit.pk])).content.decode()
    )


def test_every_page_of_the_console_opens(console, trader_key, quote, limit):
    quote("AAPL", bid=99, ask=101)
    api = Client(headers={"authorization": trader_key})
    order = api.post(URL, FINE, content_type="application/json").json()["order"]["id"]
    submission.transmit(order, now=timezone.now())
    Seal.objects.create(
        seq=1, event=Event.objects.first(), previous_hash="", hash="", sealed_at=timezone.now()
    )

    for model, shown in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed = console.get(
            reverse(f"{name}_changelist"), {"q": "1"} if shown.search_fields else {}
        )
        assert listed.status_code == 200, name
        if row := model._default_manager.first():
            one = console.get(reverse(f"{name}_change", args=[row.pk]))
            assert one.status_code == 200, name
            assert ApiKey.objects.first().secret_hash not in one.content.decode()


def test_the_console_leads_to_the_overview_and_back(console):
    assert 'href="/"' in console.get("/admin/").content.decode()
    assert 'href="/admin/"' in console.get("/").content.decode()


@pytest.mark.parametrize(
    ("action", "field", "expected"),
    [
        ("switch_to_guide", "mode", "GUIDE"),
        ("switch_to_autonomous", "mode", "AUTONOMOUS"),
        ("switch_to_supervised", "mode", "SUPERVISED"),
        ("switch_live_on", "live_trading_enabled", True),
        ("switch_live_off", "live_trading_enabled", False),
    ],
)
def test_switches_are_audited_actions(console, action, field, expected):
    act(console, action, reason=" drill ")

    assert getattr(SystemControl.objects.get(), field) == expected
    assert [(a["actor"], a["reason"]) for a in audits()] == [("rita", "drill")]


@pytest.mark.parametrize(
    ("action", "level"), [("engage_halted", "HALTED"), ("engage_reduce_only", "REDUCE_ONLY")]
)
def test_the_kill_switch_is_engaged_by_audited_actions(console, action, level):
    act(console, action, reason=" drill ")

    assert [kill.level for kill in engaged()] == [level]
    assert [(a["actor"], a["reason"]) for a in audits()] == [("rita", "drill")]


def test_the_kill_switch_is_released(console):
    act(console, "engage_halted")
    act(console, "release_kill", reason="over")

    assert not engaged().exists()
    assert [a["reason"] for a in audits()] == ["because", "over"]


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_switch_needs_a_reason(console, reason):
    said = act(console, "engage_halted", reason=reason)

    assert said == ["Give a reason: nothing was changed."]
    assert not engaged().exists()
    assert audits() == []


def test_a_switch_needs_its_permission(db, valkey):
    user = User.objects.create_user("stan", password="stan-password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_systemcontrol"))
    client = Client()
    client.force_login(user)

    act(client, "engage_halted")

    assert not engaged().exists()


def test_the_page_of_the_switches_says_how_they_stand(console):
    act(console, "engage_halted", reason="odd quotes")

    page = console.get(reverse("admin:risk_systemcontrol_change", args=[1])).content.decode()

    assert "engaged by rita" in page
    assert "odd quotes" in page
    assert 'value="release_kill"' in page


def test_a_changed_limit_is_recorded_with_before_and_after(console, limit):
    assert change(console, limit, value="25", reason="more room").status_code == 302

    (audit,) = audits()
    assert RiskLimit.objects.get().value == 25
    assert (audit["action"], audit["actor"], audit["reason"]) == (
        "risklimit_changed",
        "rita",
        "more room",
    )
    assert [Decimal(audit[when]["value"]) for when in ("before", "after")] == [10, 25]


def test_an_added_rule_is_recorded(console, account):
    url = reverse("admin:risk_symbolrule_add")

    console.post(url, {"symbol": "AAPL", "rule": "DENY", "reason": "earnings"})

    (audit,) = audits()
    assert SymbolRule.objects.get().symbol == "AAPL"
    assert (audit["before"], audit["after"]["rule"]) == (None, "DENY")


def test_a_limit_needs_a_reason(console, limit):
    answer = change(console, limit, value="25")

    assert "Give a reason." in answer.content.decode()
    assert RiskLimit.objects.get().value == 10
    assert audits() == []


def test_deleting_a_rule_needs_a_reason_and_records_it(console, account):
    rule = SymbolRule.objects.create(symbol="AAPL", rule="DENY")
    url = reverse("admin:risk_symbolrule_delete", args=[rule.pk])

    asked = console.post(url, {"post": "yes", "reason": " "}, follow=True)
    assert "Give a reason" in asked.content.decode()
    assert SymbolRule.objects.exists()

    console.post(url, {"post": "yes", "reason": "not needed"})
    (audit,) = audits()
    assert not SymbolRule.objects.exists()
    assert (audit["action"], audit["after"]) == ("symbolrule_deleted", None)
    assert audit["before"]["symbol"] == "AAPL"


def test_a_clients_accounts_are_recorded(console, trader):
    url = reverse("admin:orders_apiclient_change", args=[trader.pk])
    inline = {"keys-TOTAL_FORMS": 0, "keys-INITIAL_FORMS": 0}

    answer = console.post(url, {"name": "trader", "is_active": "on", "reason": "left"} | inline)

    (audit,) = audits()
    assert answer.status_code == 302
    assert (audit["before"]["accounts"], audit["after"]["accounts"]) == (["paper"], [])


@pytest.mark.parametrize(
    ("on", "action"), [("orders_apikey", "revoke_selected"), ("orders_apiclient", "revoke_keys")]
)
def test_keys_are_revoked_once_with_a_reason(console, trader, on, action):
    key, text = issue_key(trader, scopes=["read"])
    pk = key.pk if on == "orders_apikey" else trader.pk
    api = Client(headers={"authorization": f"Api-Key {text}"})
    assert api.get("/api/v1/orders").status_code == 200

    assert act(console, action, on=on, pk=pk, reason="") == ["Give a reason: nothing was changed."]
    act(console, action, on=on, pk=pk, reason="leaked")
    assert act(console, action, on=on, pk=pk, reason="again") == ["Keys revoked: 0."]

    assert api.get("/api/v1/orders").status_code == 401
    assert [(a["action"], a["reason"]) for a in audits()] == [("apikey_revoked", "leaked")]


def test_an_order_cannot_be_touched(console, trader_key, quote, account):
    quote("AAPL", bid=99, ask=101)
    api = Client(headers={"authorization": trader_key})
    order = api.post(URL, FINE, content_type="application/json").json()["order"]["id"]
    url = reverse("admin:orders_order_change", args=[order])

    assert console.post(url, {"status": "FILLED"}).status_code == 403
    assert console.get(reverse("admin:orders_order_delete", args=[order])).status_code == 403
    assert Order.objects.get().status == "PENDING"
