"""What only makes safer takes one person, and what two decide is within what each holds."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from brokers.models import BrokerConnection
from execution_site.floor.audit import Actor
from orders.models import ApiClient, ApiKey
from orders.two_persons import guarded_rows, proposals
from orders.two_persons.proposals import MayNotDecide, NotDecidable
from risk import control
from risk.change_kinds import ChangeKind
from risk.four_eyes import ALWAYS
from risk.models import Breaker, ChangeRequest, FourEyesRule
from tests.orders.two_persons.ways import (
    ACTIVE,
    BREAKER,
    CONNECTION,
    ON,
    PASSWORD,
    USER,
    WHY,
    action,
    bot,
    breaker,
    connection,
    form,
    key,
    live,
    live_on,
    make_bot,
    make_key,
    make_walter,
    now,
    other_credentials,
    paper,
    set_password,
    signs_in,
    walter,
)

TOMORROW = {"expires_at_0": f"{now() + timedelta(days=1):%Y-%m-%d}", "expires_at_1": "00:00"}


def with_right():
    make_walter(is_staff=True)().user_permissions.set(Permission.objects.all()[:2])


def delete(table, find):
    def ask(console, _):
        url = reverse(f"admin:{table}_delete", args=[find().pk])
        return console.post(url, {"post": "yes"} | WHY, follow=True)

    return ask


def revoke(console, api):
    return action("orders_apikey", "revoke_selected", key().pk)(console, api)


#: What there is, what is asked, what is true afterwards.
SAFER = {
    "live trading off": (
        live_on,
        action("risk_systemcontrol", "switch_live_off", 1),
        lambda: not live(),
    ),
    "a breaker down": (
        breaker,
        form("risk_breaker", BREAKER | ON | {"threshold": "4"}, Breaker.objects.get),
        lambda: Breaker.objects.get().threshold == 4,
    ),
    "a new breaker": (
        lambda: None,
        form("risk_breaker", BREAKER | ON),
        lambda: Breaker.objects.count() == 1,
    ),
    "a user no longer active, without rights": (
        with_right,
        form("auth_user", USER, walter),
        lambda: not walter().is_active and not walter().user_permissions.exists(),
    ),
    "a user deleted": (
        make_walter(),
        delete("auth_user", walter),
        lambda: not User.objects.filter(username="walter").exists(),
    ),
    "a group without rights": (
        lambda: None,
        form("auth_group", {"name": "desk"}),
        lambda: Group.objects.count() == 1,
    ),
    "a key revoked": (make_key(), revoke, lambda: key().revoked_at is not None),
    "an earlier end of a key": (
        lambda: (make_key()(), ApiKey.objects.update(expires_at=None)),
        form("orders_apikey", {"networks": "10.0.0.0/8"} | TOMORROW, key),
        lambda: key().expires_at is not None and key().networks == ["10.0.0.0/8"],
    ),
    "a client deleted": (
        make_bot,
        delete("orders_apiclient", bot),
        lambda: not ApiClient.objects.filter(name="bot").exists(),
    ),
    "a connection off": (
        connection(),
        form("brokers_brokerconnection", CONNECTION, paper),
        lambda: not paper().is_enabled,
    ),
    "a dry run, without credentials": (
        other_credentials,
        form(
            "brokers_brokerconnection",
            CONNECTION | ON | {"dry_run": "on", "new_credentials": "{}"},
            paper,
        ),
        lambda: paper().dry_run and not paper().read_credentials(),
    ),
}


@pytest.fixture
def rules(account, valkey):
    BrokerConnection.objects.update(settings={})
    for kind in set(ChangeKind) - ALWAYS:
        FourEyesRule.objects.create(kind=kind)


@pytest.fixture
def console(rules, risk_manager):
    client = Client()
    client.force_login(risk_manager)
    return client


@pytest.mark.parametrize("name", SAFER)
def test_what_only_makes_safer_takes_one_person(name, console):
    prepare, ask, is_done = SAFER[name]
    prepare()
    ask(console, None)

    assert is_done()
    assert not ChangeRequest.objects.exists()


def proposed_right(codename, *, by):
    """Propose that walter holds a right."""
    right = Permission.objects.get(codename=codename)
    return proposals.propose_or_apply(
        ChangeKind.RIGHTS,
        **guarded_rows.asked(walter(), {"user_permissions": [right.pk]}),
        actor=Actor(by.username, by.pk),
        reason="he trades",
        now=now(),
    )


@pytest.mark.parametrize(
    ("_case", "holds", "may"),
    [
        ("holds it, and changes users", ["change_user", "add_signal"], True),
        ("changes users, and does not hold it", ["change_user"], False),
        ("holds it, and changes no users", ["add_signal"], False),
    ],
)
def test_nobody_approves_a_right_that_they_could_not_give(rules, risk_manager, _case, holds, may):
    make_walter()()
    clara = User.objects.create_user("clara")
    clara.user_permissions.set(Permission.objects.filter(codename__in=holds))
    row = proposed_right("add_signal", by=risk_manager)

    approve = {"actor": Actor("clara", clara.pk), "reason": "agreed", "now": now()}
    if may:
        proposals.approve(row.pk, **approve)
    else:
        with pytest.raises(MayNotDecide):
            proposals.approve(row.pk, **approve)
    assert walter().user_permissions.count() == may


def test_nobody_approves_as_one_whose_password_they_have_set(console, risk_manager):
    make_walter(is_superuser=True)()
    control_row = {"actor": Actor("rita", risk_manager.pk), "reason": "x", "now": now()}
    row = proposals.propose_or_apply(
        ChangeKind.MODE, target="system", after={"mode": "GUIDE"}, **control_row
    )
    set_password(console, None)

    assert not signs_in("walter")()
    with pytest.raises(MayNotDecide):
        proposals.approve(row.pk, actor=Actor("walter", walter().pk), reason="agreed", now=now())
    assert control.current().mode == "AUTONOMOUS"


def test_whoever_is_made_active_has_the_password_that_was_there(console, risk_manager):
    make_walter(is_active=False)()
    form("auth_user", USER | ACTIVE, walter)(console, None)
    set_password(console, None)

    olga = User.objects.create_superuser("olga")
    with pytest.raises(NotDecidable, match="changed since"):
        proposals.approve(
            ChangeRequest.objects.get().pk,
            actor=Actor("olga", olga.pk),
            reason="agreed",
            now=now(),
        )
    assert not walter().is_active


def test_what_can_no_longer_be_made_is_said_and_stays_undone(rules, risk_manager):
    make_walter()()
    desk = Group.objects.create(name="desk")
    row = proposals.propose_or_apply(
        ChangeKind.RIGHTS,
        **guarded_rows.asked(walter(), {"groups": [desk.pk]}),
        actor=Actor("rita", risk_manager.pk),
        reason="x",
        now=now(),
    )
    desk.delete()

    olga = User.objects.create_superuser("olga")
    with pytest.raises(NotDecidable, match="some of what was chosen is gone"):
        proposals.approve(row.pk, actor=Actor("olga", olga.pk), reason="agreed", now=now())
    row.refresh_from_db()
    assert (row.status, row.decided_by) == ("WAITING", "")


def test_ones_own_password_takes_nobody_else(console, risk_manager):
    passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    url = reverse("admin:auth_user_password_change", args=[risk_manager.pk])
    console.post(url, passwords)

    assert signs_in("rita")()
    assert not ChangeRequest.objects.exists()


def test_the_command_makes_a_key_that_is_good_for_nothing_yet(rules, capsys):
    make_bot()
    call_command("create_api_key", "bot")

    assert key().expires_at <= now()
    assert "good for nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("_case", "name", "more"),
    [
        ("a new client", "new", []),
        ("another owner", "bot", ["--owner", "rita"]),
        ("another account", "bot", ["--accounts", "paper"]),
    ],
)
def test_the_command_widens_no_client(rules, risk_manager, _case, name, more):
    make_bot()
    before = list(ApiClient.objects.values_list("name", "owner", "accounts"))

    with pytest.raises(CommandError, match="takes two persons"):
        call_command("create_api_key", name, *more)
    assert list(ApiClient.objects.values_list("name", "owner", "accounts")) == before
    assert not ApiKey.objects.exists()
