"""Nobody grants what they do not hold, and every change of access is in the audit trail."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from brokers.models import BrokerConnection
from execution_site.floor import access
from execution_site.floor.access import AccessChange
from execution_site.floor.events import Event
from orders.models import ApiClient
from orders.models.client import issue_key

CLERKS = [
    f"{verb}_{what}"
    for verb in ("add", "change", "delete", "view")
    for what in ("user", "group", "apiclient", "apikey")
]
REASON = {"reason": "because"}


def held(*codenames):
    return Permission.objects.filter(codename__in=codenames)


@pytest.fixture
def clerk(account):
    """Staff that keeps users, groups, clients and keys, in the account paper, and may trade."""
    BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    user = User.objects.create_user("clara", password="x", is_staff=True)
    user.user_permissions.set(held(*CLERKS, "add_signal"))
    ApiClient.objects.create(name="clara", user=user).accounts.add(account)
    return user


@pytest.fixture
def console(clerk):
    client = Client()
    client.force_login(clerk)
    return client


def form_of(user, **values):
    made = {"username": user.username, "is_active": "on", "date_joined_0": "2026-01-01"}
    return made | {"date_joined_1": "00:00"} | REASON | values


def change(console, row, values):
    name = f"{row._meta.app_label}_{row._meta.model_name}"
    return console.post(reverse(f"admin:{name}_change", args=[row.pk]), values)


def holds(user):
    fresh = User.objects.get(pk=user.pk)
    return fresh.is_superuser, fresh.get_all_permissions()


SUPER = {"is_superuser": "on", "is_staff": "on"}


def test_staff_makes_nobody_a_superuser_itself_neither(console, clerk):
    weak = User.objects.create_user("walt")

    assert change(console, clerk, form_of(clerk, **SUPER)).status_code == 403
    change(console, weak, form_of(weak, **SUPER))

    assert [holds(user)[0] for user in (clerk, weak)] == [False, False]


def test_staff_gives_others_what_it_holds_and_nothing_more(console):
    weak = User.objects.create_user("walt")
    mode, trade = held("change_mode").get(), held("add_signal").get()
    change(console, weak, form_of(weak, user_permissions=[mode.pk]))
    assert holds(weak)[1] == set()

    change(console, weak, form_of(weak, user_permissions=[trade.pk]))
    assert holds(weak)[1] == {"orders.add_signal"}


def test_staff_puts_nobody_into_a_group_that_holds_more(console):
    weak, strong = User.objects.create_user("walt"), Group.objects.create(name="risk")
    strong.permissions.set(held("change_mode"))

    change(console, weak, form_of(weak, groups=[strong.pk]))

    assert holds(weak)[1] == set()


def _superuser(_):
    return User.objects.create_superuser("root")


def _one_more_right(_):
    user = User.objects.create_user("rita")
    user.user_permissions.set(held("change_mode"))
    return user


def _inactive(account):
    user = _one_more_right(account)
    User.objects.filter(pk=user.pk).update(is_active=False)
    return user


def _one_more_account(_):
    user = User.objects.create_user("otto")
    client = ApiClient.objects.create(name="otto", user=user)
    client.accounts.set(BrokerConnection.objects.all())
    return user


@pytest.mark.parametrize("make", [_superuser, _one_more_right, _inactive, _one_more_account])
def test_nobody_touches_a_stronger_user(console, account, make):
    user = make(account)
    before = User.objects.values().get(pk=user.pk)
    password = {"password1": "taken-over-1", "password2": "taken-over-1", "usable_password": "true"}

    assert change(console, user, form_of(user, email="mine@x.test")).status_code == 403
    taken = console.post(reverse("admin:auth_user_password_change", args=[user.pk]), password)
    gone = console.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"} | REASON)

    assert (taken.status_code, gone.status_code) == (403, 403)
    assert User.objects.values().get(pk=user.pk) == before


def test_a_group_of_ones_own_or_a_stronger_is_for_others(console, clerk):
    own, strong = Group.objects.create(name="clerks"), Group.objects.create(name="risk")
    clerk.groups.add(own)
    strong.permissions.set(held("change_mode"))
    free = Group.objects.create(name="free")
    mode, trade = held("change_mode").get(), held("add_signal").get()

    for group in (own, strong):
        values = {"name": group.name, "permissions": [trade.pk]} | REASON
        assert change(console, group, values).status_code == 403
    change(console, free, {"name": "free", "permissions": [mode.pk]} | REASON)
    assert not free.permissions.exists()
    change(console, free, {"name": "free", "permissions": [trade.pk]} | REASON)
    assert free.permissions.exists()


INLINE = {"keys-TOTAL_FORMS": 0, "keys-INITIAL_FORMS": 0}


def test_ones_own_client_gets_no_account_beyond_ones_own(console, clerk, account):
    client = clerk.apiclient
    everything = list(BrokerConnection.objects.values_list("pk", flat=True))
    values = {"name": "clara", "is_active": "on", "accounts": everything} | REASON | INLINE

    change(console, client, values)
    url = reverse("admin:orders_apiclient_add")
    console.post(url, values | {"name": "another"})
    assert list(client.accounts.all()) == [account]
    assert not ApiClient.objects.filter(name="another").exists()

    console.post(url, values | {"name": "another", "accounts": [account.pk]})
    made = ApiClient.objects.get(name="another")
    assert (made.owner, list(made.accounts.all())) == (clerk, [account])


def test_a_strangers_client_and_a_stronger_key_are_left_alone(console, clerk, account):
    strange = ApiClient.objects.create(name="of-nobody")
    own = ApiClient.objects.create(name="own", owner=clerk)
    key = issue_key(own, scopes=["installation"])[0]

    values = {"name": "of-nobody", "is_active": "on"} | REASON | INLINE
    assert change(console, strange, values).status_code == 403
    assert change(console, key, {"networks": "", "expires_at_0": ""} | REASON).status_code == 403


# --- Keys: where from, and how long --------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        ([], "203.0.113.9", 200),
        (["203.0.113.0/24"], "203.0.113.9", 200),
        (["203.0.113.0/24"], "198.51.100.1", 401),
        (["2001:db8::/32", "198.51.100.1"], "198.51.100.1", 200),
    ],
)
def test_a_key_is_good_from_its_networks(trader, networks, address, status):
    text = issue_key(trader, scopes=["read"], networks=networks)[1]
    api = Client(headers={"authorization": f"Api-Key {text}"}, REMOTE_ADDR=address)

    assert api.get("/api/v1/orders").status_code == status


@pytest.mark.parametrize(("seconds", "status"), [(60, 200), (-1, 401)])
def test_a_key_is_good_until_its_end(trader, seconds, status):
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    text = issue_key(trader, scopes=["read"], expires_at=end)[1]
    api = Client(headers={"authorization": f"Api-Key {text}"})

    assert api.get("/api/v1/orders").status_code == status


def test_the_command_sets_owner_networks_and_end(trader, capsys):
    wanted = ["--owner", "tom", "--networks", "10.0.0.0/8,::1", "--expires", "2099-01-01"]
    call_command("create_api_key", "desk", "--scopes", "read", *wanted)

    key = ApiClient.objects.get(name="desk").keys.get()
    assert key.client.owner == trader.owner
    assert key.networks == ["10.0.0.0/8", "::1/128"]
    assert key.expires_at == datetime(2099, 1, 1, tzinfo=UTC)


# --- The audit trail -----------------------------------------------------------------------------


def _by_sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _in_the_console(clerk):
    http = Client()
    http.force_login(clerk)
    weak = User.objects.get(username="walt")
    return change(http, weak, form_of(weak, email="w@x.test"))


WAYS = {
    "the console": _in_the_console,
    "update": lambda _: User.objects.filter(username="walt").update(email="w@x.test"),
    "bulk": lambda _: User.objects.bulk_create([User(username="wim")]),
    "SQL": lambda _: _by_sql("UPDATE auth_user SET is_superuser = true WHERE username = 'walt'"),
    "a right": lambda clerk: clerk.user_permissions.add(*held("change_mode")),
    "a group": lambda clerk: clerk.groups.add(Group.objects.create(name="g")),
    "a group's right": lambda _: Group.objects.create(name="h").permissions.add(
        *held("change_mode")
    ),
    "createsuperuser": lambda _: call_command(
        "createsuperuser", "--noinput", "--username=sue", "--email=s@x.test", verbosity=0
    ),
    "an account": lambda clerk: clerk.apiclient.accounts.clear(),
    "a key": lambda clerk: issue_key(clerk.apiclient, scopes=["read"]),
    "create_api_key": lambda _: call_command("create_api_key", "desk"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_access_is_in_the_audit_trail(clerk, way):
    User.objects.create_user("walt", password="w-password")
    access.record(now=datetime.now(UTC))
    known = set(Event.objects.values_list("pk", flat=True))

    WAYS[way](clerk)
    assert access.record(now=datetime.now(UTC)) >= 1

    new = [event.data for event in Event.objects.exclude(pk__in=known)]
    told = [data for data in new if data["action"].startswith("access_")]
    assert told
    assert all(data["before"] != data["after"] and data["actor"] for data in told)
    if way == "the console":
        assert {(data["actor"], data["reason"]) for data in told} == {("clara", "because")}
    assert not AccessChange.objects.exists()


def test_what_changes_nothing_and_a_sign_in_are_no_change_and_secrets_are_not_kept(clerk, trader):
    access.record(now=datetime.now(UTC))
    clerk.save()
    Client().force_login(clerk)
    assert not AccessChange.objects.exists()

    clerk.set_password("a-new-password")
    clerk.save()
    key, _text = issue_key(trader, scopes=["read"])
    noted = str(list(AccessChange.objects.values()))
    assert clerk.password not in noted
    assert key.secret_hash not in noted
