"""The switches that gate trading, each change audited: mode, live trading and kill switches.

A change commits at once, without waiting for anybody, and bumps the epoch. It then drains: it
waits until every sender that was granted under the old epoch has committed its attempt. After
`drained_at` no attempt carries an older epoch.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models.functions import Now

from brokers.models import BrokerConnection
from execution_site import audit
from execution_site.events import EventType, record_event
from risk import locks
from risk.facts import KillLevel, SystemMode
from risk.kills import KillSwitch, Scope, engaged, of_scope
from risk.models import SystemControl

DRAIN_TIMEOUT = timedelta(milliseconds=150)
DRAIN_ROUNDS = 20
EVERYTHING = Scope()

logger = logging.getLogger(__name__)


class ClockTime(Now):
    """The database's clock as the statement runs; Now() is the start of its transaction."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Spell it in SQL."""
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)


class NotDrained(Exception):
    """Senders granted before the change could not be waited out, nor ended."""


def current() -> SystemControl:
    """Return the control row as committed now."""
    return SystemControl.objects.get(pk=1)


def control_json(control: SystemControl, kills: Sequence[KillSwitch]) -> dict[str, Any]:
    """Return the switches as clients see them; `kill_switch` is the one that stops everything."""
    shown = [kill.as_json() for kill in kills]
    everything = [kill for kill in shown if kill["scope"] == EVERYTHING.as_json()]
    return {
        "mode": control.mode,
        "live_trading_enabled": control.live_trading_enabled,
        "epoch": control.epoch,
        "kill_switch": (*everything, RELEASED)[0],
        "kill_switches": shown,
    }


RELEASED = {
    "active": False,
    "scope": Scope().as_json(),
    "covers": str(Scope()),
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
    """

    def change(control: SystemControl) -> None:
        control.mode = mode

    control = _change("system_mode", change, actor=actor, reason=reason, now=now)
    _drain(control.epoch)


def set_live_trading(enabled: bool, *, actor: str, reason: str, now: datetime) -> None:
    """Let orders reach live venues, or no longer.

    :raises audit.ReasonRequired: without a reason
    """

    def change(control: SystemControl) -> None:
        control.live_trading_enabled = enabled

    control = _change("live_trading", change, actor=actor, reason=reason, now=now)
    _drain(control.epoch)


def engage_kill(
    *,
    level: KillLevel,
    actor: str,
    reason: str,
    now: datetime,
    scope: Scope = EVERYTHING,
) -> KillSwitch:
    """Engage the kill switch: nothing is granted any more beyond what `level` lets through.

    One that is engaged for the same scope is replaced.

    :raises audit.ReasonRequired: without a reason
    :raises NotDrained: engaged, but an earlier sender could not be drained
    :raises BrokerConnection.DoesNotExist: there is no such account
    """
    connection = None
    if scope.account is not None:
        connection = BrokerConnection.objects.get(name=scope.account)

    def change(control: SystemControl) -> None:
        of_scope(scope).update(
            released_at=ClockTime(), released_by=actor, release_reason="engaged anew"
        )
        KillSwitch.objects.create(
            connection=connection,
            strategy=scope.strategy or "",
            symbol=scope.symbol or "",
            level=level,
            reason=reason.strip(),
            actor=actor,
            epoch=control.epoch,
            engaged_at=ClockTime(),  # the database's clock, the one that stamps every attempt
        )

    control = _change("kill_switch", change, actor=actor, reason=reason, now=now)
    _drain(control.epoch)
    return of_scope(scope).select_related("connection").get()


def release_kill(*, actor: str, reason: str, now: datetime, scope: Scope = EVERYTHING) -> None:
    """Release the kill switch of a scope; whether it may be is orders/emergency.py's to say.

    :raises audit.ReasonRequired: without a reason
    """

    def change(control: SystemControl) -> None:
        of_scope(scope).update(
            released_at=ClockTime(), released_by=actor, release_reason=reason.strip()
        )

    _change("kill_switch", change, actor=actor, reason=reason, now=now)


def _change(
    action: str,
    change: Callable[[SystemControl], None],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> SystemControl:
    with transaction.atomic(durable=True):
        control = SystemControl.objects.select_for_update().get(pk=1)
        before = control_json(control, list(engaged()))
        control.epoch += 1
        change(control)
        control.save()
        after = control_json(control, list(engaged()))
        audit.record(action, actor=actor, reason=reason, at=now, before=before, after=after)
        data = {**after, "actor": actor, "reason": reason.strip()}
        record_event(EventType.SYSTEM, data, at=now)
    return control


def _drain(epoch: int) -> None:
    """Wait until every sender granted under an older epoch has committed, and say when."""
    for _ in range(DRAIN_ROUNDS):
        try:
            with transaction.atomic(durable=True):
                locks.senders_exclusive(timeout=DRAIN_TIMEOUT)
                waiting = KillSwitch.objects.filter(drained_at=None, epoch__lte=epoch)
                waiting.update(drained_at=ClockTime())
                return
        except OperationalError:
            ended = locks.terminate_senders()
            logger.warning("ended %s senders that overstayed the kill", ended)
    raise NotDrained(f"senders still hold their grants after {DRAIN_ROUNDS} rounds")
