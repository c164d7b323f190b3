"""Ways to ask for a dangerous change, and to see whether it was made."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from brokers import credentials
from brokers.models import BrokerConnection
from orders.models import ApiClient, ApiKey
from orders.models.client import issue_key
from risk import control
from risk.change_kinds import ChangeKind as Kind
from risk.facts import KillLevel
from risk.models import Breaker, RiskLimit
from tests.clock import now

NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)
WHY = {"reason": "because"}
PASSWORD = "a-new-pass-word-1"


@dataclass(frozen=True)
class Case:
    """A way to make a change.

    `ask` posts it, given the asker's `console` and `api`; `state` tells what is there, `done` is
    what it tells afterwards; `disturb` changes the ground of a proposal, where it has one.
    """

    kind: Kind
    prepare: Callable[[], Any]
    ask: Callable[[Any, Any], Any]
    state: Callable[[], Any]
    done: Any
    disturb: Callable[[], Any] | None = None


def action(table, name, pk):
    def ask(console, _):
        data = {"action": name, "_selected_action": pk, "index": 0} | WHY
        return console.post(reverse(f"admin:{table}_changelist"), data, follow=True)

    return ask


def rest(path, body):
    return lambda _, api: api.post(f"/api/v1/{path}", body | WHY, content_type="application/json")


def form(table, values, find=None):
    """Post a form: of a new row, or of the one that `find` returns; values may be made late."""

    def ask(console, _):
        filled = values() if callable(values) else values
        if find is None:
            url = reverse(f"admin:{table}_add")
        else:
            url = reverse(f"admin:{table}_change", args=[find().pk])
        return console.post(url, filled | WHY, follow=True)

    return ask


def limit_form(values, find=None):
    def ask(console, _):
        if find is None:
            url = reverse("admin:risk_risklimit_add")
        else:
            url = reverse("admin:risk_risklimit_change", args=[find().pk])
        shown = console.post(url, values).context["shown"]
        return console.post(url, values | WHY | {"shown": shown, "_confirm": "1"}, follow=True)

    return ask


def limit_end(console, _):
    url = reverse("admin:risk_risklimit_end")
    ids = {"id": [RiskLimit.objects.get().pk]}
    shown = console.get(url, ids).context["shown"]
    return console.post(url, ids | {"shown": shown} | WHY, follow=True)


def field(model, name, /, **where):
    return lambda: model.objects.filter(**where).values_list(name, flat=True).first()


def setting(model, name, value):
    return lambda: model.objects.update(**{name: value})


def kill():
    control.engage_kill(level=KillLevel.HALTED, actor="x", reason="x", now=now())


def released():
    control.release_kill(actor="x", reason="x", now=now())


def guide():
    control.set_system_mode("GUIDE", actor="x", reason="x", now=now())


def mode():
    return control.current().mode


def live():
    return control.current().live_trading_enabled


def live_on():
    control.set_live_trading(True, actor="x", reason="x", now=now())


def limit():
    RiskLimit.objects.create(metric="max_order_quantity", value=10)


def breaker():
    Breaker.objects.create(kind="runaway", threshold=5, window_seconds=60)


BREAKER = {"kind": "runaway", "threshold": "5", "window_seconds": 60, "action": "BLOCK"}
ON = {"is_enabled": "on"}


def walter():
    return User.objects.get(username="walter")


def make_walter(**fields):
    return lambda: User.objects.create_user("walter", **fields)


USER = {"username": "walter", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
ACTIVE = {"is_active": "on"}


def right():
    return Permission.objects.get(codename="change_mode")


def walters(name):
    """Return how many rights or groups walter has."""
    return lambda: getattr(walter(), name).count()


def other_name():
    User.objects.filter(username="walter").update(first_name="Other")


def group():
    return Group.objects.get(name="desk")


def make_group():
    Group.objects.create(name="desk")


def user_and_group():
    make_walter()()
    make_group()


def signs_in(name):
    return lambda: ModelBackend().authenticate(None, name, PASSWORD) is not None


def set_password(console, _):
    passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    url = reverse("admin:auth_user_password_change", args=[walter().pk])
    return console.post(url, passwords, follow=True)


NEW_USER = {
    "username": "nina",
    "password1": PASSWORD,
    "password2": PASSWORD,
    "usable_password": "true",
}


def bot():
    return ApiClient.objects.get(name="bot")


def make_bot():
    ApiClient.objects.create(name="bot", owner=make_walter()())


def inactive_bot():
    make_bot()
    ApiClient.objects.filter(name="bot").update(is_active=False)


def bot_form(**values):
    inline = {"keys-TOTAL_FORMS": 0, "keys-INITIAL_FORMS": 0}
    return lambda: (
        {"name": "bot", "is_active": "on", "owner": walter().pk}
        | inline
        | {name: value() if callable(value) else value for name, value in values.items()}
    )


def rename_bot():
    ApiClient.objects.filter(name="bot").update(name="bot-2")


def paper():
    return BrokerConnection.objects.get(name="paper")


def bots(name):
    return lambda: getattr(ApiClient.objects.get(owner=walter()), name).count()


def make_key(**values):
    def make():
        make_bot()
        issue_key(bot(), scopes=["read"], **values)

    return make


def key():
    return ApiKey.objects.get(client__name="bot")


def no_end():
    return key().expires_at is None


def shorter():
    ApiKey.objects.filter(client__name="bot").update(expires_at=now())


def make_key_under_the_rule(console, _):
    """Issue a key, then ask for its end to be lifted; where one is enough it never had one."""
    issue_key(bot(), scopes=["read"])
    return form("orders_apikey", {"networks": ""}, key)(console, _)


def usable():
    found = ApiKey.objects.filter(client__name="bot").first()
    return found is not None and (found.expires_at is None or found.expires_at > now())


CONNECTION = {"day_roll_time": "00:00", "day_roll_zone": "UTC", "settings": "{}", "capital": ""}


def connection(**fields):
    return lambda: BrokerConnection.objects.filter(name="paper").update(settings={}, **fields)


def stored():
    return paper().read_credentials()


def other_credentials():
    sealed = credentials.seal({"api_key": "another"}, row_id=paper().pk)
    BrokerConnection.objects.filter(name="paper").update(credentials_sealed=sealed)


SECRET = "canary-9f2c-of-the-venue"
WITH_SECRET = CONNECTION | ON | {"new_credentials": f'{{"api_key": "{SECRET}"}}'}
