"""What of a row's change lets more through, and which kind of change that is: pure, one table.

Limits are not in it: whether a limit widens is `limit_changes.widens`.

Values are JSON: rows by their ids, several as a list, decimals and times as texts. What lets more
through takes two persons where its kind is switched on (risk/four_eyes.py); the rest takes one.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from risk.change_kinds import ChangeKind

Values = Mapping[str, Any]
Rule = Callable[[Any, Any], bool]


def never(_: Any, __: Any) -> bool:
    """Nothing hangs on it."""
    return False


def changed(was: Any, new: Any) -> bool:
    """Any change may let more through."""
    return bool(was != new)


def on(was: Any, new: Any) -> bool:
    """Switching it on, or setting it, lets more through."""
    return bool(new) and not was


def off(was: Any, new: Any) -> bool:
    """Switching it off, or clearing it, lets more through."""
    return bool(was) and not new


def given(was: Any, new: Any) -> bool:
    """Giving it, or another, lets more through; taking it away does not."""
    return bool(new) and was != new


def more(was: Any, new: Any) -> bool:
    """Each member that was none before lets more through."""
    return not set(new or ()) <= set(was or ())


def higher(was: Any, new: Any) -> bool:
    """A higher number lets more through."""
    return Decimal(new) > Decimal(was)


def later(was: Any, new: Any) -> bool:
    """A later end lets more through, none the most."""
    if was is None or new is None:
        return was is not None
    return datetime.fromisoformat(new) > datetime.fromisoformat(was)


def wider(was: Any, new: Any) -> bool:
    """An address that was outside lets more through; no network is every address."""
    if not was or not new:
        return bool(was)
    outer = [ipaddress.ip_network(text) for text in was]
    return not all(_within(ipaddress.ip_network(text), outer) for text in new)


def _within(network: Any, outer: list[Any]) -> bool:
    return any(network.version == o.version and network.subnet_of(o) for o in outer)


_K = ChangeKind
#: The tables whose changes can be made to take two persons: each field that a person may change,
#: with the kind of change that it is and with what lets more through.
GUARDED: Mapping[str, Mapping[str, tuple[ChangeKind, Rule]]] = {
    "risk.breaker": {
        "kind": (_K.BREAKER_UP, changed),
        "connection": (_K.BREAKER_UP, changed),
        "strategy": (_K.BREAKER_UP, changed),
        "threshold": (_K.BREAKER_UP, higher),
        "window_seconds": (_K.BREAKER_UP, changed),
        "action": (_K.BREAKER_UP, changed),
        "is_enabled": (_K.BREAKER_UP, off),
        "note": (_K.BREAKER_UP, never),
    },
    "auth.user": {
        "username": (_K.RIGHTS, never),
        "password": (_K.RIGHTS, never),  # a mark of it: a proposal is stale once it is another
        "first_name": (_K.RIGHTS, never),
        "last_name": (_K.RIGHTS, never),
        "email": (_K.RIGHTS, never),
        "date_joined": (_K.RIGHTS, never),
        "is_active": (_K.RIGHTS, on),
        "is_staff": (_K.RIGHTS, on),
        "is_superuser": (_K.RIGHTS, on),
        "groups": (_K.RIGHTS, more),
        "user_permissions": (_K.RIGHTS, more),
    },
    "auth.group": {"name": (_K.RIGHTS, never), "permissions": (_K.RIGHTS, more)},
    "orders.apiclient": {
        "name": (_K.RIGHTS, never),
        "accounts": (_K.RIGHTS, more),
        "is_active": (_K.KEY, on),
        "user": (_K.KEY, changed),
        "owner": (_K.KEY, changed),
    },
    "orders.apikey": {
        "client": (_K.KEY, changed),
        "scopes": (_K.KEY, more),
        "networks": (_K.KEY, wider),
        "expires_at": (_K.KEY, later),
        "revoked_at": (_K.KEY, off),
    },
    "brokers.brokerconnection": {
        "name": (_K.CONNECTION, changed),
        "broker": (_K.CONNECTION, changed),
        "environment": (_K.CONNECTION, changed),
        "is_enabled": (_K.CONNECTION, on),
        "dry_run": (_K.CONNECTION, off),
        "settings": (_K.CONNECTION, changed),
        "day_roll_time": (_K.CONNECTION, changed),
        "day_roll_zone": (_K.CONNECTION, changed),
        "capital": (_K.CONNECTION, changed),
        "credentials_sealed": (_K.CREDENTIALS, given),
    },
}
#: What is new here only narrows.
NEW_NARROWS = frozenset({"risk.breaker"})


def kinds(table: str, was: Values | None, new: Values) -> Iterator[ChangeKind]:
    """Return the kinds of change that let more through in a row; `was` None: it is new."""
    if was is None and table in NEW_NARROWS:
        return
    before = was or {}
    for name, (kind, lets_more) in GUARDED[table].items():
        if name in new and lets_more(before.get(name), new[name]):
            yield kind
