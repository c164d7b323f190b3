"""Each dangerous change, by each way: one person alone changes nothing, two change it once."""

import threading

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.test import Client
from django.urls import reverse

from execution_site.floor.audit import Actor
from execution_site.floor.events import Event
from orders.models import ApiClient
from orders.models.client import issue_key
from orders.two_persons import proposals
from orders.two_persons.proposals import NotDecidable
from risk.change_kinds import ChangeKind
from risk.four_eyes import ALWAYS
from risk.models import ChangeRequest, FourEyesRule
from tests.orders.two_persons.cases import CASES
from tests.orders.two_persons.ways import SECRET, now

APPROVE = reverse("admin:risk_changerequest_changelist")
#: May decide, about everything, and could make none of these changes.
DECIDES = ("approve_change", "control_installation", "view_changerequest")


#: A user is added, or gets a password, and is not active: what waits is that they sign in.
STILL_ADDED = [c.state for n, c in CASES.items() if n.startswith(("a new user", "another's"))]


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def cast(account, valkey):
    """Rita asks, Otto approves, Dora may only decide; the desk is a client of Rita's."""
    User.objects.create_superuser("rita")
    User.objects.create_superuser("otto")
    dora = User.objects.create_user("dora", is_staff=True)
    dora.user_permissions.set(Permission.objects.filter(codename__in=DECIDES))
    desk = ApiClient.objects.create(name="desk", owner=User.objects.get(username="rita"))
    desk.accounts.add(account)
    scopes = ["read", "approve", "control", "release", "installation"]
    key = issue_key(desk, scopes=scopes)[1]
    people = {user.username: signed_in(user) for user in User.objects.all()}
    return people | {"desk": Client(headers={"authorization": f"Api-Key {key}"})}


def switch_on(kind):
    if kind not in ALWAYS:
        FourEyesRule.objects.get_or_create(kind=kind)


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def decide(console):
    waiting = ChangeRequest.objects.latest("pk").pk
    data = {"action": "approve", "_selected_action": waiting, "reason": "agreed", "index": 0}
    return said(console.post(APPROVE, data, follow=True))


def propose(case, cast):
    """Have rita ask for a change with its rule switched on; return what was there."""
    case.prepare()
    switch_on(case.kind)
    before = case.state()
    assert before != case.done
    answer = case.ask(cast["rita"], cast["desk"])
    if answer.headers["content-type"] == "application/json":
        assert answer.status_code == 202
        assert answer.json()["proposal"]["kind"] == case.kind
    else:
        assert "a second person must approve it" in said(answer)
    return before


@pytest.mark.parametrize("name", CASES)
def test_one_person_alone_changes_nothing_and_two_change_it_once(name, cast):
    case = CASES[name]
    before = propose(case, cast)
    row = ChangeRequest.objects.get()
    assert row.kind == case.kind
    assert case.state() == before
    if case.state not in STILL_ADDED:
        assert not LogEntry.objects.exists()  # which would say that it is done

    own_key = cast["desk"].post(
        f"/api/v1/proposals/{row.pk}/approve", {"reason": "mine"}, content_type="application/json"
    )
    assert (own_key.status_code, own_key.json()["code"]) == (403, "needs_second_person")
    other_browser = signed_in(User.objects.get(username="rita"))
    assert "a second person must approve" in decide(other_browser)
    if case.kind is not ChangeKind.RULE_END:  # which whoever approves may propose
        assert "could not make this change" in decide(cast["dora"])
    assert case.state() == before

    assert "applied" in decide(cast["otto"])
    assert case.state() == case.done
    events = Event.objects.count()
    assert "not waiting" in decide(cast["otto"])
    assert (case.state(), Event.objects.count()) == (case.done, events)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.kind not in ALWAYS])
def test_where_the_rule_is_off_one_person_is_enough(name, cast):
    case = CASES[name]
    case.prepare()
    case.ask(cast["rita"], cast["desk"])

    assert case.state() == case.done
    assert not ChangeRequest.objects.exists()


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.disturb])
def test_a_proposal_whose_ground_has_changed_applies_nothing(name, cast):
    case = CASES[name]
    propose(case, cast)
    case.disturb()
    meanwhile = case.state()

    assert "has changed since" in decide(cast["otto"])
    assert ChangeRequest.objects.get().status == "STALE"
    assert case.state() == meanwhile


@pytest.mark.parametrize("name", CASES)
def test_what_a_proposal_changes_is_shown_in_words_and_without_secrets(name, cast):
    case = CASES[name]
    propose(case, cast)
    row = ChangeRequest.objects.get()
    changes = proposals.describe(row)["changes"]

    assert changes
    assert all(d["before"] != d["after"] for d in changes)
    for page in ("/risk/state", "/approvals/state", APPROVE):
        shown = cast["otto"].get(page).content.decode()
        assert all(d["field"] in shown for d in changes)
    listed = cast["desk"].get("/api/v1/proposals").json()["results"]
    assert [d["changes"] for d in listed] == [changes]
    kept = [*ChangeRequest.objects.values(), *Event.objects.values_list("data", flat=True)]
    assert SECRET not in str(kept)
    assert SECRET.encode() not in bytes(row.credentials_sealed)


@pytest.mark.parametrize("name", ["mode, REST", "a superuser, a form", "credentials, a form"])
def test_of_two_approvers_at_once_one_applies_it(name, cast):
    case = CASES[name]
    propose(case, cast)
    User.objects.create_superuser("olga")
    pk, together, ends = ChangeRequest.objects.get().pk, threading.Barrier(2), []

    def approve(name):
        actor = Actor(name, User.objects.get(username=name).pk)
        together.wait()
        try:
            proposals.approve(pk, actor=actor, reason="agreed", now=now())
            ends.append("applied")
        except NotDecidable:
            ends.append("too late")
        finally:
            database.close()

    threads = [threading.Thread(target=approve, args=[name]) for name in ("otto", "olga")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["applied", "too late"]
    assert case.state() == case.done
    assert Event.objects.filter(data__action="change_applied").count() == 1
    assert ChangeRequest.objects.get().status == "APPLIED"


def approved(row, otto):
    proposals.approve(row.pk, actor=otto, reason="so be it", now=now())


def declined(row, otto):
    proposals.decline(row.pk, actor=otto, reason="so be it", now=now())


def expired(row, _):
    assert proposals.expire(row.pk, now=row.expires_at)


def stale(row, otto):
    CASES["credentials, a form"].disturb()
    with pytest.raises(NotDecidable):
        approved(row, otto)


@pytest.mark.parametrize("end", [approved, declined, expired, stale])
def test_credentials_that_wait_are_kept_no_longer_than_the_proposal(cast, end):
    propose(CASES["credentials, a form"], cast)
    row = ChangeRequest.objects.get()
    assert row.credentials_sealed

    end(row, Actor("otto", User.objects.get(username="otto").pk))
    row.refresh_from_db()
    assert row.status == end.__name__.upper().replace("APPROVED", "APPLIED")
    assert not row.credentials_sealed


def test_a_new_connection_is_added_before_it_gets_its_credentials(cast):
    switch_on(ChangeKind.CREDENTIALS)
    values = {"name": "second", "broker": "paper", "environment": "paper", "is_enabled": "on"}
    values |= {"day_roll_time": "00:00", "day_roll_zone": "UTC", "settings": "{}", "reason": "x"}
    url = reverse("admin:brokers_brokerconnection_add")
    page = cast["rita"].post(url, values | {"new_credentials": f'{{"api_key": "{SECRET}"}}'})

    assert "add the connection first" in page.content.decode()
    assert SECRET not in page.content.decode()
    assert not ChangeRequest.objects.exists()
