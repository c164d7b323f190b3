"""Four eyes: who proposes does not approve, and what is applied is applied to what is there."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from execution_site.floor.audit import Actor
from execution_site.floor.events import Event, EventType
from orders.two_persons import proposals
from orders.two_persons.proposals import NotDecidable
from risk import control
from risk.change_kinds import ChangeKind
from risk.facts import KillLevel
from risk.four_eyes import ALWAYS, SamePerson
from risk.kills import engaged
from risk.models import ChangeRequest, FourEyesRule, RiskLimit
from tests.clock import now

RITA, OTTO = Actor("rita", 1), Actor("otto", 2)
OTTOS = ("approve_change", "change_mode", "release_kill", "change_risklimit")


@pytest.fixture
def two_people(account):
    User.objects.create_superuser("rita", pk=1)
    otto = User.objects.create_user("otto", pk=2)
    otto.user_permissions.set(Permission.objects.filter(codename__in=OTTOS))
    for kind in set(ChangeKind) - ALWAYS:
        FourEyesRule.objects.create(kind=kind)


def propose(mode="SUPERVISED", actor=RITA):
    return proposals.propose_or_apply(
        ChangeKind.MODE,
        target="system",
        after={"mode": mode},
        actor=actor,
        reason="calmer",
        now=now(),
    )


def mode():
    return control.current().mode


def test_where_it_is_not_switched_on_one_person_is_enough(account):
    assert propose() is None
    assert mode() == "SUPERVISED"


def test_a_proposal_changes_nothing_until_another_approves(two_people):
    row = propose()
    assert mode() == "AUTONOMOUS"
    with pytest.raises(SamePerson):
        proposals.approve(row.pk, actor=RITA, reason="mine", now=now())
    assert mode() == "AUTONOMOUS"

    proposals.approve(row.pk, actor=OTTO, reason="agreed", now=now())
    assert mode() == "SUPERVISED"
    last = Event.objects.filter(type=EventType.AUDIT).latest("pk").data
    assert last["actor"] == "rita and otto"
    with pytest.raises(NotDecidable):
        proposals.approve(row.pk, actor=OTTO, reason="again", now=now())


def test_the_database_too_wants_two_people(two_people):
    row = propose()

    with pytest.raises(IntegrityError, match="two_people_for_a_change"):
        ChangeRequest.objects.filter(pk=row.pk).update(status="APPLIED", decided_by="rita")


def test_a_proposal_lasts_fifteen_minutes(two_people):
    row = propose()
    at = row.proposed_at + timedelta(minutes=15)

    with pytest.raises(NotDecidable, match="expired"):
        proposals.approve(row.pk, actor=OTTO, reason="late", now=at)
    assert [proposals.expire(pk, now=at) for pk in proposals.overdue(now=at)] == [True]


def test_a_proposal_whose_ground_has_changed_is_stale(two_people):
    row = propose()
    control.set_system_mode("GUIDE", actor="engine", reason="x", now=now())

    with pytest.raises(NotDecidable, match="changed"):
        proposals.approve(row.pk, actor=OTTO, reason="agreed", now=now())
    row.refresh_from_db()
    assert (row.status, mode()) == ("STALE", "GUIDE")


def test_declining_has_a_reason_and_its_own_proposer_may(two_people):
    row = propose()
    proposals.decline(row.pk, actor=RITA, reason="a mistake", now=now())

    row.refresh_from_db()
    assert (row.status, mode()) == ("DECLINED", "AUTONOMOUS")


def test_releasing_a_kill_takes_two_and_engaging_one(two_people):
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="odd", now=now())
    row = proposals.propose_or_apply(
        ChangeKind.KILL_RELEASE,
        target="everything",
        after=control.EVERYTHING.as_json(),
        actor=RITA,
        reason="over",
        now=now(),
    )
    assert engaged().exists()

    proposals.approve(row.pk, actor=OTTO, reason="agreed", now=now())
    assert not engaged().exists()


@pytest.fixture
def console(two_people):
    client = Client()
    client.force_login(User.objects.get(username="rita"))
    return client


def edit(client, row, **values):
    fields = {"metric": row.metric, "value": row.value} | values
    url = reverse("admin:risk_risklimit_change", args=[row.pk])
    shown = client.post(url, fields).context["shown"]
    confirmed = {"shown": shown, "_confirm": "1", "reason": "because"}
    return client.post(url, fields | confirmed, follow=True)


def test_raising_a_limit_in_the_console_is_proposed_lowering_it_is_done(two_people, console):
    row = RiskLimit.objects.create(metric="max_order_quantity", value=10)
    edit(console, row, value=5)
    row.refresh_from_db()
    assert (row.value, row.version) == (5, 2)

    edit(console, row, value=50)
    row.refresh_from_db()
    assert row.value == 5
    waiting = ChangeRequest.objects.get()
    proposals.approve(waiting.pk, actor=OTTO, reason="agreed", now=now())
    row.refresh_from_db()
    assert (row.value, row.version) == (50, 3)


def test_ending_a_limit_early_counts_as_raising_it(two_people, console):
    row = RiskLimit.objects.create(metric="max_order_quantity", value=10)
    edit(console, row, effective_until_0="2099-01-01", effective_until_1="00:00")

    row.refresh_from_db()
    assert row.effective_until is None
    assert ChangeRequest.objects.get().kind == "limit_up"


def test_the_console_decides_with_a_reason_and_never_ones_own(two_people, console):
    propose(actor=RITA)
    url = reverse("admin:risk_changerequest_changelist")
    pk = ChangeRequest.objects.get().pk

    def decide(reason):
        wanted = {"action": "approve", "_selected_action": [pk], "reason": reason, "index": 0}
        return console.post(url, wanted, follow=True).content.decode()

    assert "nothing was changed" in decide("")
    assert "a second person must approve" in decide("mine")
    assert mode() == "AUTONOMOUS"


@pytest.mark.parametrize(
    ("_case", "proposer", "approver"),
    [
        ("two clients of one person", Actor("desk", 1), Actor("night-desk", 1)),
        ("a browser and a key", Actor("rita", 1), Actor("desk", 1)),
        ("a key of nobody's approves", Actor("rita", 1), Actor("desk", None)),
    ],
)
def test_one_person_is_not_two(two_people, _case, proposer, approver):
    row = propose(actor=proposer)

    with pytest.raises(SamePerson):
        proposals.approve(row.pk, actor=approver, reason="agreed", now=now())
    assert mode() == "AUTONOMOUS"
    with pytest.raises(IntegrityError, match="two_persons_for_a_change"):
        ChangeRequest.objects.filter(pk=row.pk).update(
            status="APPLIED", decided_by=approver.name + "2", deciding_person=1
        )


def test_a_key_of_nobodys_proposes_nothing(two_people):
    with pytest.raises(SamePerson, match="nobody"):
        propose(actor=Actor("desk", None))
    assert not ChangeRequest.objects.exists()


def test_a_rule_ends_when_two_people_want_it_and_by_no_other_way(two_people):
    console = Client()
    console.force_login(User.objects.get(pk=1))
    rules = reverse("admin:risk_foureyesrule_changelist")
    for way in ("delete", "change"):
        page = reverse(f"admin:risk_foureyesrule_{way}", args=["mode"])
        assert console.post(page, {"post": "yes", "reason": "x"}).status_code == 403
    ask = {"action": "end", "_selected_action": "mode", "reason": "we are few"}
    assert console.post(rules, ask).status_code == 302

    row = ChangeRequest.objects.get(kind=ChangeKind.RULE_END)
    with pytest.raises(SamePerson):
        proposals.approve(row.pk, actor=RITA, reason="mine", now=now())
    assert FourEyesRule.objects.filter(kind="mode").exists()
    proposals.approve(row.pk, actor=OTTO, reason="agreed", now=now())
    assert not FourEyesRule.objects.filter(kind="mode").exists()
    assert FourEyesRule.objects.filter(kind="limit_up").exists()
    assert Event.objects.filter(data__action="foureyesrule_ended").count() == 1
