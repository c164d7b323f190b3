"""The kinds of change that can take two persons: how each reads what is there, and is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brokers.models import BrokerConnection
from execution_site.console.tables import json_values
from execution_site.floor import audit, locks
from execution_site.rest.permissions import Right, rights_of
from orders.control import emergency
from orders.two_persons import differences, guarded_rows
from orders.two_persons.differences import Difference
from orders.two_persons.guarded_rows import Making
from risk import control
from risk.change_kinds import ChangeKind
from risk.facts import SystemMode
from risk.four_eyes import FourEyesRule
from risk.kills import TradingScope, of_scope
from risk.models import RiskLimit


@dataclass(frozen=True, slots=True)
class Change:
    """How a kind of change reads what is there, and how it is made, in the caller's transaction.

    What `read` has read it locks: it stays so until the transaction ends. `may` tells whether a
    person could make it alone, were one enough: nobody else approves it. `account` names the
    account that it is about, "" where it is about everything. `show` says it in words. `drains`:
    senders that were granted before it are waited out after the commit.
    """

    read: Callable[[str, Any], Any]
    make: Callable[[Making], None]
    may: Callable[[Any, Any], bool]
    show: Callable[[Any, Any], list[Difference]]
    account: Callable[[Any], str] = lambda _: ""
    drains: bool = False


def _holds(right: Right) -> Callable[[Any, Any], bool]:
    return lambda person, _: right in rights_of(person)


def _read_mode(_: str, __: Any) -> Any:
    return {"mode": control.locked().mode}


def _make_mode(m: Making) -> None:
    control.change_mode(SystemMode(m.after["mode"]), actor=m.actor, reason=m.reason, now=m.now)


def _read_live(_: str, __: Any) -> Any:
    return {"live_trading_enabled": control.locked().live_trading_enabled}


def _make_live(m: Making) -> None:
    enabled = m.after["live_trading_enabled"]
    control.change_live_trading(enabled, actor=m.actor, reason=m.reason, now=m.now)


def _on_or_off(state: Any) -> str:
    return "on" if state["live_trading_enabled"] else "off"


def _read_kill(_: str, after: Any) -> Any:
    control.locked()
    return list(of_scope(TradingScope(**after)).values_list("pk", flat=True))


def _make_release(m: Making) -> None:
    emergency.release(TradingScope(**m.after), actor=m.actor, reason=m.reason, now=m.now)


def _account_of_kill(after: Any) -> str:
    return after["account"] or ""


def _read_limit(_: str, after: Any) -> Any:
    locks.limits_exclusive()
    row = RiskLimit.objects.filter(pk=after["id"]).first()
    return {} if row is None else json_values(row)


def _may_limit(person: Any, after: Any) -> bool:
    verb = "add" if after["id"] is None else "change"
    return bool(person.has_perm(f"risk.{verb}_risklimit"))


def _account_of_limit(after: Any) -> str:
    pk = after["values"]["connection"]
    return "" if pk is None else BrokerConnection.objects.get(pk=pk).name


def _make_limit(m: Making) -> None:
    locks.limits_exclusive()
    row = RiskLimit.objects.filter(pk=m.after["id"]).first() or RiskLimit()
    before = json_values(row) if row.pk else None
    had_ended = row.has_ended(m.now)
    for name, value in m.after["values"].items():
        setattr(row, "connection_id" if name == "connection" else name, value)
    row.full_clean(validate_unique=False)
    ends = row.has_ended(m.now) and not had_ended
    if ends:  # until this moment it applied, whenever its end was asked for
        row.effective_until = max(m.now, row.effective_from or m.now)
    row.save()
    row.refresh_from_db()
    audit.record(
        f"risklimit_{'added' if before is None else 'ended' if ends else 'changed'}",
        actor=m.actor,
        reason=m.reason,
        at=m.now,
        before=before,
        after=json_values(row),
        object_id=str(row.pk),
    )


def _show_limit(before: Any, after: Any) -> list[Difference]:
    made: list[Difference] = differences.of_row(RiskLimit, before, after["values"])
    return made


def _read_rule(target: str, _: Any) -> Any:
    rows = locks.for_update(FourEyesRule.objects.filter(kind=target))
    return list(rows.values_list("kind", flat=True))


def _end_rule(m: Making) -> None:
    kind = m.after["kind"]
    FourEyesRule.objects.filter(kind=kind).delete()
    audit.record(
        "foureyesrule_ended",
        actor=m.actor,
        reason=m.reason,
        at=m.now,
        before={"kind": kind},
        after=None,
        object_id=kind,
    )


_ROW = Change(
    guarded_rows.read,
    guarded_rows.make,
    guarded_rows.may,
    differences.of_table,
    guarded_rows.account_of,
)
CHANGES: Mapping[ChangeKind, Change] = {
    ChangeKind.MODE: Change(
        _read_mode,
        _make_mode,
        _holds(Right.CHANGE_MODE),
        differences.of_one("mode", lambda was: was["mode"], lambda new: new["mode"]),
        drains=True,
    ),
    ChangeKind.LIVE_SWITCH: Change(
        _read_live,
        _make_live,
        _holds(Right.CHANGE_MODE),
        differences.of_one("live trading", _on_or_off, _on_or_off),
        drains=True,
    ),
    ChangeKind.KILL_RELEASE: Change(
        _read_kill,
        _make_release,
        _holds(Right.RELEASE_KILL),
        differences.of_one(
            "kill switch", lambda was: "engaged" if was else "not engaged", lambda _: "released"
        ),
        _account_of_kill,
    ),
    ChangeKind.LIMIT_UP: Change(
        _read_limit, _make_limit, _may_limit, _show_limit, _account_of_limit
    ),
    ChangeKind.RULE_END: Change(
        _read_rule,
        _end_rule,
        _holds(Right.APPROVE),
        differences.of_one(
            "persons",
            lambda was: "two" if was else "one",
            lambda _: "one",
        ),
    ),
    ChangeKind.BREAKER_UP: _ROW,
    ChangeKind.RIGHTS: _ROW,
    ChangeKind.KEY: _ROW,
    ChangeKind.CONNECTION: _ROW,
    ChangeKind.CREDENTIALS: _ROW,
}
