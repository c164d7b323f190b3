"""The switches that gate trading, each change audited: mode, live trading and kill switches.

A change commits at once and bumps the epoch: a kill waits for nobody, not even for a reader of the
control row, which it does not touch. It then drains: it waits until every sender that was granted
under the old epoch has committed its attempt. After `drained_at` no attempt carries an older epoch.
A drain that could not be finished is finished by the sweeper.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models.functions import Now

from brokers.models import BrokerConnection
from execution_site.floor import audit, locks, statements
from execution_site.floor.events import EventType, record_event
from execution_site.rest.idempotency import once
from risk.facts import KillLevel, SystemMode
from risk.kills import EPOCH, KillSwitch, TradingScope, engaged, of_scope
from risk.models import SystemControl

DRAIN_TIMEOUT = timedelta(milliseconds=150)
DRAIN_ROUNDS, DRAIN_ROUNDS_LATER = 20, 2
EVERYTHING = TradingScope()

logger = logging.getLogger(__name__)


class ClockTime(Now):
    """The database's clock as the statement runs; Now() is the start of its transaction."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return it as SQL."""
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)


class NotDrained(Exception):
    """Senders granted before the change could not be waited out, nor ended."""


class Loosens(Exception):
    """A stricter kill switch is engaged for the same scope: it is released, not replaced."""

    code = "kill_would_loosen"


def current() -> SystemControl:
    """Return the control row as committed now."""
    return SystemControl.objects.get(pk=1)


def locked() -> SystemControl:
    """Return the control row; it and the switches stay as they are until the transaction ends."""
    control = locks.for_update(SystemControl.objects.all()).get(pk=1)
    locks.switches()
    return control


def epoch() -> int:
    """Return the epoch that a grant made now would carry."""
    return int(statements.one(f"SELECT {EPOCH} FROM risk_systemcontrol AS control")[0])  # noqa: S608 our own name


def control_json(control: SystemControl, kills: Sequence[KillSwitch]) -> dict[str, Any]:
    """Return the switches as clients see them; `kill_switch` is the one that stops everything."""
    shown = [kill.as_json() for kill in kills]
    everything = [kill for kill in shown if kill["scope"] == EVERYTHING.as_json()]
    return {
        "mode": control.mode,
        "live_trading_enabled": control.live_trading_enabled,
        "epoch": epoch(),
        "kill_switch": (*everything, RELEASED)[0],
        "kill_switches": shown,
    }


RELEASED = {
    "active": False,
    "scope": TradingScope().as_json(),
    "covers": str(TradingScope()),
    "in_flight": [],
    "level": None,
    "reason": None,
    "actor": None,
    "engaged_at": None,
    "drained_at": None,
}


def set_system_mode(mode: SystemMode, *, actor: str, reason: str, now: datetime) -> None:
    """Set the system mode, recording who changed it and why in the same transaction.

    :raises audit.ReasonRequired: without a reason
    :raises NotDrained: it is set, but an earlier sender could not be drained
    """
    with once():
        change_mode(mode, actor=actor, reason=reason, now=now)
    drain()


def change_mode(mode: SystemMode, *, actor: str, reason: str, now: datetime) -> None:
    """Set the system mode in the caller's transaction, after which the caller drains."""

    def change(control: SystemControl) -> None:
        control.mode = mode

    _change_control("system_mode", change, actor=actor, reason=reason, now=now)


def set_live_trading(enabled: bool, *, actor: str, reason: str, now: datetime) -> None:
    """Let orders reach live venues, or no longer.

    :raises audit.ReasonRequired: without a reason
    :raises NotDrained: it is set, but an earlier sender could not be drained
    """
    with once():
        change_live_trading(enabled, actor=actor, reason=reason, now=now)
    drain()


def change_live_trading(enabled: bool, *, actor: str, reason: str, now: datetime) -> None:
    """Set it in the caller's transaction, after which the caller drains."""

    def change(control: SystemControl) -> None:
        control.live_trading_enabled = enabled

    _change_control("live_trading", change, actor=actor, reason=reason, now=now)


def engage_kill(
    *,
    level: KillLevel,
    actor: str,
    reason: str,
    now: datetime,
    scope: TradingScope = EVERYTHING,
) -> KillSwitch:
    """Engage the kill switch: nothing is granted any more beyond what `level` lets through.

    One that is engaged for the same scope is replaced, by one that is no weaker.

    :raises Loosens: a stricter one is engaged for the scope
    :raises audit.ReasonRequired: without a reason
    :raises NotDrained: engaged, but an earlier sender could not be drained
    :raises BrokerConnection.DoesNotExist: there is no such account
    """
    with once():
        kill = add_kill(level=level, actor=actor, reason=reason, now=now, scope=scope)
    drain()
    kill.refresh_from_db()
    return kill


def add_kill(
    *, level: KillLevel, actor: str, reason: str, now: datetime, scope: TradingScope
) -> KillSwitch:
    """Engage the kill switch in the caller's transaction, after which the caller drains.

    It inserts and waits for no row but that of an engaged kill of the same scope.

    :raises Loosens: a stricter one is engaged for the scope
    :raises audit.ReasonRequired: without a reason
    :raises BrokerConnection.DoesNotExist: there is no such account
    """
    connection = None
    if scope.account is not None:
        connection = BrokerConnection.objects.get(name=scope.account)
    locks.switches()
    if level is KillLevel.REDUCE_ONLY and of_scope(scope).filter(level=KillLevel.HALTED).exists():
        raise Loosens(f"HALTED is engaged for {scope}: release it first")
    before = control_json(current(), list(engaged()))
    of_scope(scope).update(
        released_at=ClockTime(), released_by=actor, release_reason="engaged anew"
    )
    kill = KillSwitch.objects.create(
        connection=connection,
        strategy=scope.strategy or "",
        symbol=scope.symbol or "",
        level=level,
        reason=reason.strip(),
        actor=actor,
        epoch=before["epoch"] + 1,
        engaged_at=ClockTime(),  # the database's clock, the one that stamps every attempt
    )
    _record("kill_switch", before, actor=actor, reason=reason, now=now)
    return kill


def release_kill(
    *, actor: str, reason: str, now: datetime, scope: TradingScope = EVERYTHING
) -> int:
    """Release the kill switch of a scope; return how many there were.

    :raises audit.ReasonRequired: without a reason
    """
    with once():
        return remove_kill(actor=actor, reason=reason, now=now, scope=scope)


def remove_kill(*, actor: str, reason: str, now: datetime, scope: TradingScope) -> int:
    """Release the kill switch of a scope in the caller's transaction; return how many there were.

    Whether it may be released is orders/control/emergency.py's to say, in the same transaction.

    :raises audit.ReasonRequired: without a reason
    """
    released = 0

    def change(control: SystemControl) -> None:
        nonlocal released
        released = of_scope(scope).update(
            released_at=ClockTime(), released_by=actor, release_reason=reason.strip()
        )

    _change_control("kill_switch", change, actor=actor, reason=reason, now=now)
    return released


def _change_control(
    action: str,
    change: Callable[[SystemControl], None],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    """Change the control row; who changes the switches does so one after the other."""
    control = locked()
    before = control_json(control, list(engaged()))
    control.epoch = before["epoch"] + 1
    change(control)
    control.save()
    _record(action, before, actor=actor, reason=reason, now=now)


def _record(action: str, before: dict[str, Any], *, actor: str, reason: str, now: datetime) -> None:
    after = control_json(current(), list(engaged()))
    audit.record(action, actor=actor, reason=reason, at=now, before=before, after=after)
    data = {**after, "actor": actor, "reason": reason.strip()}
    record_event(EventType.SYSTEM, data, at=now)


def drain(*, rounds: int = DRAIN_ROUNDS) -> None:
    """Wait until every sender granted before the switches as they are has committed; say when.

    :raises NotDrained: some could not be waited out, nor ended
    """
    changed = epoch()
    for _ in range(rounds):
        try:
            with transaction.atomic(durable=True):
                locks.senders_exclusive(timeout=DRAIN_TIMEOUT)
                waiting = KillSwitch.objects.filter(drained_at=None, epoch__lte=changed)
                waiting.update(drained_at=ClockTime())
                return
        except OperationalError:
            ended = locks.terminate_senders()
            logger.warning("ended %s senders that overstayed the kill", ended)
    raise NotDrained(f"senders still hold their grants after {rounds} rounds")


def drain_or_leave(*, rounds: int = DRAIN_ROUNDS) -> bool:
    """Drain; what cannot be drained now is left to the sweeper. Tell whether it is drained."""
    try:
        drain(rounds=rounds)
    except NotDrained as e:
        logger.warning("the switches are changed and not drained yet: %s", e)
        return False
    return True


def finish_drains(*, now: datetime) -> int:
    """Go on draining what could not be drained when it was engaged. Return how many kills."""
    overdue = now - DRAIN_ROUNDS * DRAIN_TIMEOUT
    waiting = KillSwitch.objects.filter(drained_at=None, engaged_at__lt=overdue).count()
    if waiting:
        drain_or_leave(rounds=DRAIN_ROUNDS_LATER)
    return waiting
