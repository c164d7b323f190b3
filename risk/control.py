"""The two switches that gate trading, each change audited: system mode and kill switch.

A change commits at once, without waiting for anybody, and bumps the epoch. It then drains: it
waits until every sender that was granted under the old epoch has committed its attempt. After
`drained_at` no attempt carries an older epoch.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models.functions import Now

from execution_site import audit
from execution_site.events import EventType, record_event
from risk import locks
from risk.checks import KillLevel, SystemMode
from risk.models import SystemControl

DRAIN_TIMEOUT = timedelta(milliseconds=150)
DRAIN_ROUNDS = 20

logger = logging.getLogger(__name__)


class ClockTime(Now):
    """The database's clock as the statement runs; Now() is the start of its transaction."""

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Spell it in SQL."""
        return self.as_sql(compiler, connection, template="CLOCK_TIMESTAMP()", **context)


class Unsupported(Exception):
    """This build does not have what was asked for."""


class NotDrained(Exception):
    """Senders granted before the change could not be waited out, nor ended."""


def current() -> SystemControl:
    """Return the control row as committed now."""
    return SystemControl.objects.get(pk=1)


def control_json(control: SystemControl) -> dict[str, Any]:
    """Return the switches as clients see them."""
    return {
        "mode": control.mode,
        "epoch": control.epoch,
        "kill_switch": {
            "active": control.kill_active,
            "level": control.kill_level if control.kill_active else None,
            "reason": control.kill_reason or None,
            "actor": control.kill_actor or None,
            "engaged_at": _time(control.engaged_at),
            "drained_at": _time(control.drained_at),
        },
    }


def set_system_mode(mode: SystemMode, *, actor: str, reason: str, now: datetime) -> None:
    """Set the system mode, recording who changed it and why in the same transaction.

    :raises Unsupported: SUPERVISED, which needs approvals
    :raises audit.ReasonRequired: without a reason
    """
    if mode is SystemMode.SUPERVISED:
        raise Unsupported("SUPERVISED mode is not supported by this build")

    def change(control: SystemControl) -> None:
        control.mode = mode

    _change("system_mode", change, actor=actor, reason=reason, now=now)


def engage_kill(*, level: KillLevel, actor: str, reason: str, now: datetime) -> None:
    """Engage the kill switch: nothing is granted any more beyond what `level` lets through.

    :raises audit.ReasonRequired: without a reason
    :raises NotDrained: engaged, but an earlier sender could not be drained
    """

    def change(control: SystemControl) -> None:
        control.kill_active, control.kill_level = True, level
        control.kill_reason, control.kill_actor = reason.strip(), actor

    _change("kill_switch", change, actor=actor, reason=reason, now=now, engages=True)


def release_kill(*, actor: str, reason: str, now: datetime) -> None:
    """Release the kill switch.

    :raises audit.ReasonRequired: without a reason
    """

    def change(control: SystemControl) -> None:
        control.kill_active, control.kill_reason, control.kill_actor = False, "", ""

    _change("kill_switch", change, actor=actor, reason=reason, now=now)


def _change(
    action: str,
    change: Callable[[SystemControl], None],
    *,
    actor: str,
    reason: str,
    now: datetime,
    engages: bool = False,
) -> None:
    with transaction.atomic(durable=True):
        control = SystemControl.objects.select_for_update().get(pk=1)
        before = control_json(control)
        change(control)
        control.epoch += 1
        control.save()
        if engages:  # the database's clock, the one that also stamps every attempt
            SystemControl.objects.filter(pk=1).update(engaged_at=ClockTime(), drained_at=None)
            control.refresh_from_db()
        after = control_json(control)
        audit.record(action, actor=actor, reason=reason, at=now, before=before, after=after)
        data = {**after, "actor": actor, "reason": reason.strip()}
        record_event(EventType.SYSTEM, data, at=now)
    _drain(control.epoch, engages=engages)


def _drain(epoch: int, *, engages: bool) -> None:
    for _ in range(DRAIN_ROUNDS):
        try:
            with transaction.atomic(durable=True):
                locks.senders_exclusive(timeout=DRAIN_TIMEOUT)
                if engages:
                    drained = SystemControl.objects.filter(pk=1, epoch=epoch)
                    drained.update(drained_at=ClockTime())
                return
        except OperationalError:
            ended = locks.terminate_senders()
            logger.warning("ended %s senders that overstayed the kill", ended)
    raise NotDrained(f"senders still hold their grants after {DRAIN_ROUNDS} rounds")


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
