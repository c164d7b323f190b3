"""Cancelling and flattening many: asked for as a row, done by whoever looks at it next.

The process that is asked looks at once and answers with what has come of it; should it die, the
workers go on from the row, until every order has ended and every position is closed.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.floor import audit, locks
from execution_site.rest import idempotency
from orders import order_state
from orders.control.scopes import orders_in, positions_in
from orders.judging import closing
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models import MassAction, Order, Origin, PositionClose
from orders.models.mass_action import Progress
from orders.payloads import time_text
from risk.kills import KillSwitch, TradingScope

Kind = MassAction.Kind
TAKEN_OVER = timedelta(seconds=2)  # when others look at what the process that was asked left
LOOK_AGAIN, LOOK_LATER = timedelta(seconds=1), timedelta(seconds=5)
SOON = timedelta(minutes=1)
CANCELS_WITHIN = timedelta(seconds=3)  # how long flattening waits for cancels before it closes
PAUSE_SECONDS = 0.05
BATCH = 100
SHOWN_FOR, MOST_SHOWN = timedelta(minutes=10), 20

logger = logging.getLogger(__name__)


class NotWithdrawable(Exception):
    """It has ended. `code` is stable."""

    code = "action_not_working"


def ask(
    kind: MassAction.Kind,
    scope: TradingScope,
    *,
    accounts: Iterable[str],
    actor: str,
    reason: str,
    now: datetime,
    kill: KillSwitch | None = None,
    keeps_reducing: bool = False,
) -> MassAction:
    """Write down what is asked for, in the caller's transaction.

    `keeps_reducing`: orders that only make a position smaller work on.

    :raises audit.ReasonRequired: without a reason
    """
    action = MassAction.objects.create(
        kind=kind,
        connection=BrokerConnection.objects.filter(name=scope.account).first(),
        strategy=scope.strategy or "",
        symbol=scope.symbol or "",
        accounts=sorted(accounts),
        keeps_reducing=keeps_reducing,
        kill=kill,
        actor=actor,
        reason=reason.strip(),
        asked_at=now,
        due_at=now + TAKEN_OVER,
    )
    idempotency.made(action.pk)
    audit.record(
        f"{kind.lower()}_asked",
        actor=actor,
        reason=reason,
        at=now,
        before=None,
        after=scope.as_json(),
        object_id=str(action.pk),
    )
    return action


def begin(action_id: int) -> MassAction:
    """Do what can be done of it now; flattening waits a little for cancels before it closes."""
    deadline = time.monotonic() + CANCELS_WITHIN.total_seconds()
    while True:
        patient = time.monotonic() < deadline
        action = _advance(action_id, patient=patient, now=timezone.now())
        over = action.kind == Kind.CANCEL or action.status != Progress.WORKING
        if over or not patient or not _waits_for_cancels(action):
            return action
        time.sleep(PAUSE_SECONDS)


def finish_due(*, now: datetime) -> None:
    """Do what is left of the actions and the closes that are due, each for itself."""
    for action_id in list(MassAction.objects.due(now=now).values_list("pk", flat=True)[:BATCH]):
        _apart(take_over, action_id, now=now)
    for close_id in list(PositionClose.objects.due(now=now).values_list("pk", flat=True)[:BATCH]):
        _apart(closing.take_over, close_id, now=now)


def take_over(action_id: int, *, now: datetime) -> None:
    """Do what is left of an action that is due; of many workers one does. Safe at any time."""
    due = MassAction.objects.due(now=now).filter(pk=action_id)
    if due.order_by().update(due_at=now + LOOK_AGAIN):
        asked_at = MassAction.objects.values_list("asked_at", flat=True).get(pk=action_id)
        _advance(action_id, patient=now < asked_at + CANCELS_WITHIN, now=now)


def _advance(action_id: int, *, patient: bool, now: datetime) -> MassAction:
    """Cancel and close what is left, each order and each position for itself.

    `patient`: a position whose entries are still being cancelled is not closed yet.
    """
    action = _planned(action_id, now=now)
    if action.status != Progress.WORKING:
        return action
    for order_id in _to_cancel(action):
        _apart(partial(_cancel, by=action.actor), order_id, now=now)
    if action.kind == Kind.FLATTEN:
        for close in action.closes.due(now=now):
            if not (patient and closing.entries_work(close)):
                _apart(closing.take_over, close.pk, now=now)
    return _look_back(action_id, now=now)


def withdraw(action_id: int, *, actor: str, reason: str, now: datetime) -> MassAction:
    """End an action: what it has asked of venues goes on, nothing more is asked.

    In the caller's transaction.

    :raises NotWithdrawable: it has ended
    :raises audit.ReasonRequired: without a reason
    """
    locks.rows(MassAction.objects.filter(pk=action_id))
    action = MassAction.objects.get(pk=action_id)
    if action.status != Progress.WORKING:
        raise NotWithdrawable(f"the action is {action.status}")
    audit.record(
        "action_withdrawn",
        actor=actor,
        reason=reason,
        at=now,
        before=action.status,
        after=Progress.WITHDRAWN.value,
        object_id=str(action.pk),
    )
    ids = locks.rows(action.closes.filter(status=Progress.WORKING))
    for close in PositionClose.objects.filter(pk__in=ids).select_related("connection"):
        closing.withdraw(close, now=now)
    action.status, action.due_at, action.finished_at = Progress.WITHDRAWN, None, now
    action.save()
    return action


def _planned(action_id: int, *, now: datetime) -> MassAction:
    """Find the orders and positions it is about: once, and by a kill until that has drained.

    What a sender was granted before the kill is committed only when the kill has drained.
    """
    with transaction.atomic(durable=True):
        locks.rows(MassAction.objects.filter(pk=action_id))
        action = MassAction.objects.select_related("connection", "kill").get(pk=action_id)
        drained = action.kill is None or action.kill.drained_at is not None
        if action.status != Progress.WORKING or (action.planned_at is not None and drained):
            return action
        working = orders_in(action.scope, action.accounts)
        if action.kind == Kind.FLATTEN:
            working = working.exclude(origin=Origin.FLATTEN)
        if action.keeps_reducing:
            working = working.exclude(reduce_only=True)
        found = list(working.values_list("pk", "connection_id", "strategy", "instrument_id"))
        action.orders = sorted({*action.orders, *(pk for pk, *_ in found)})
        if drained:
            action.planned_at = now
        action.save(update_fields=["orders", "planned_at"])
        if action.kind == Kind.FLATTEN:
            held = positions_in(action.scope, action.accounts)
            lines = set(held.values_list("connection_id", "strategy", "instrument_id"))
            for connection, strategy, instrument in sorted(
                lines | {tuple(line) for _, *line in found}
            ):
                PositionClose.objects.get_or_create(
                    action=action,
                    connection_id=connection,
                    strategy=strategy,
                    instrument_id=instrument,
                    defaults={"asked_at": now, "due_at": now},
                )
    return action


def _to_cancel(action: MassAction) -> list[int]:
    working = Order.objects.open().filter(pk__in=action.orders)
    asked = working.exclude(pending_action=PendingAction.CANCEL).order_by("pk")
    return list(asked.values_list("pk", flat=True))


def _cancel(order_id: int, *, by: str, now: datetime) -> None:
    """Cancel one order, unless it has ended or is being cancelled."""
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=order_id))
        order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
        if order.status in OPEN and order.pending_action != PendingAction.CANCEL:
            order_state.cancel_locked(order, reason=f"cancelled by {by}", now=now)


def _apart(do: Callable[..., None], row_id: int, *, now: datetime) -> None:
    """Do one of many; a row that is locked elsewhere is left for the next look."""
    try:
        do(row_id, now=now)
    except OperationalError as e:
        logger.warning("%s was not done, and is done at the next look: %s", row_id, e)


def _look_back(action_id: int, *, now: datetime) -> MassAction:
    """Write where the action stands, and when to look again."""
    with transaction.atomic(durable=True):
        locks.rows(MassAction.objects.filter(pk=action_id))
        action = MassAction.objects.select_related("connection", "kill").get(pk=action_id)
        if action.status != Progress.WORKING:
            return action
        if action.planned_at is not None and not _waits_for_cancels(action) and not _open(action):
            action.status, action.due_at, action.finished_at = Progress.DONE, None, now
            audit.record(
                f"{action.kind.lower()}_done",
                actor="engine",
                reason=action.reason,
                at=now,
                before=None,
                after=_counts(action),
                object_id=str(action.pk),
            )
        else:
            action.due_at = now + (LOOK_AGAIN if now - action.asked_at < SOON else LOOK_LATER)
        action.save(update_fields=["status", "due_at", "finished_at"])
    return action


def _waits_for_cancels(action: MassAction) -> bool:
    return Order.objects.open().filter(pk__in=action.orders).exists()


def _open(action: MassAction) -> bool:
    return action.closes.filter(status=Progress.WORKING).exists()


def _counts(action: MassAction) -> dict[str, Any]:
    """Return how its orders ended and its positions stand, by number."""
    ended = Order.objects.filter(pk__in=action.orders).values_list("status", flat=True)
    closes = action.closes.values_list("status", flat=True)
    return {"orders": dict(Counter(ended)), "closes": dict(Counter(closes))}


def visible(accounts: Collection[str]) -> Any:
    """Return the actions that lie in these accounts."""
    return MassAction.objects.filter(accounts__contained_by=list(accounts)).select_related(
        "connection", "kill"
    )


def shown(accounts: Collection[str], *, now: datetime) -> Any:
    """Return those that are not done, and those that were a short while ago, the newest first."""
    lately = Q(finished_at=None) | Q(finished_at__gt=now - SHOWN_FOR)
    return visible(accounts).filter(lately).order_by("-pk")[:MOST_SHOWN]


def brief(action: MassAction) -> dict[str, Any]:
    """Return an action without its orders and positions, as lists show it."""
    return {
        "id": action.pk,
        "kind": action.kind,
        "scope": action.scope.as_json(),
        "status": action.status,
        "kill_switch": action.kill_id,
        "actor": action.actor,
        "reason": action.reason,
        "asked_at": time_text(action.asked_at),
        "finished_at": time_text(action.finished_at),
    }


def describe(action: MassAction) -> dict[str, Any]:
    """Return an action as it stands: what it found, what came of each, and what is left."""
    orders = Order.objects.filter(pk__in=action.orders).order_by("pk")
    cancelled = [
        {"order": pk, "result": _result(status, pending)}
        for pk, status, pending in orders.values_list("pk", "status", "pending_action")
    ]
    related = ("connection", "instrument", "order")
    closed = [
        closing.describe(close) for close in action.closes.select_related(*related).order_by("pk")
    ]
    return brief(action) | {
        "matched": {"orders": len(cancelled), "positions": len(closed)},
        "cancelled": cancelled,
        "closed": closed,
        "left": {
            "orders": [row["order"] for row in cancelled if row["result"] in _LEFT],
            "positions": [row for row in closed if row["status"] == Progress.WORKING],
        },
    }


_REQUESTED, _LOCKED = "requested", "not yet: it is locked elsewhere"
_LEFT = {_REQUESTED, _LOCKED}


def _result(status: str, pending: str) -> str:
    if status == OrderStatus.CANCELLED:
        return "cancelled"
    if status not in OPEN:
        return f"the order is {status}"
    return _REQUESTED if pending == PendingAction.CANCEL else _LOCKED
