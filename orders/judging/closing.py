"""Closing a position until it is closed: after an order that was refused or cut, another is sent.

A close is a row (`PositionClose`). Looked at, it sends one order for what can be closed now, that
is |position| less what working closing orders already take; when that has ended, it looks again. It
ends when nothing is held, or when all that an EXIT asked for is closed. It does not give up while
something is held: it waits longer from try to try (`PAUSES`), and alerts people when it takes long.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet

from brokers.contract import OrderType, Side, TimeInForce
from brokers.instruments.kinds import decimal_text
from execution_site.floor import locks
from execution_site.floor.events import EventType, record_event
from orders import hints
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.judging.close_position import close_position
from orders.lifecycle import OPEN, OrderStatus
from orders.models import Action, MassAction, Order, Origin, PositionClose
from orders.models.mass_action import Progress
from portfolio.models import Position

PAUSES = tuple(timedelta(seconds=s) for s in (0.5, 1, 2, 5, 10, 30))  # the last again and again
LOOK_AGAIN = timedelta(seconds=2)  # while an order of it, or of others, works
ALERT_AFTER = timedelta(seconds=15)
ALERT_TURNED_AWAY = 3
MOST_SHOWN = 20
SHRUNK = "nothing_to_close"  # at the grant: less could be closed than when it was judged
DRY_RUN = "dry_run"

logger = logging.getLogger(__name__)


def was_turned_away(order: Order, *, on_request: bool) -> bool:
    """Tell whether a closing order ended short though nobody asked for its end.

    A person's or a switch's cancel, an age limit, a dry run, and what IOC, FOK, or the end of a
    priced order's time leave unfilled are as wanted.
    """
    if order.status in OPEN or order.traded_quantity >= order.quantity or on_request:
        return False
    match order.status:
        case OrderStatus.REJECTED | OrderStatus.FAILED:
            return True
        case OrderStatus.CANCELLED if order.claimed_at is None:
            return order.status_reason == SHRUNK
        case OrderStatus.CANCELLED:
            at_once = order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK}
            return not at_once and order.status_reason != DRY_RUN
        case OrderStatus.EXPIRED:
            return order.claimed_at is not None and order.order_type == OrderType.MARKET
    return False


def follow_up(order: Order, *, on_request: bool, now: datetime) -> None:
    """Have the close of a locked order that has ended go on, in the caller's transaction.

    An EXIT's order that was turned away begins one.
    """
    if not order.reduce_only or order.status in OPEN:
        return
    if order.origin in {Origin.FLATTEN, Origin.EXIT}:
        waiting = PositionClose.objects.filter(order=order.pk, status=Progress.WORKING)
        waiting.update(due_at=now)
    elif order.origin == Origin.SIGNAL and was_turned_away(order, on_request=on_request):
        _begin(order, now=now)
    else:
        return
    transaction.on_commit(hints.finish_asked, robust=True)


def _begin(order: Order, *, now: datetime) -> None:
    """Begin the close that an EXIT's order was turned away from; other orders begin none."""
    if order.signal is None or order.signal.action != Action.EXIT:
        return
    PositionClose.objects.get_or_create(
        signal=order.signal,
        defaults={
            "connection_id": order.connection_id,
            "strategy": order.strategy,
            "instrument_id": order.instrument_id,
            "quantity": order.quantity - order.traded_quantity,
            "turned_away": 1,
            "detail": f"order {order.pk}: {order.status_reason}"[:200],
            "asked_at": now,
            "due_at": now + PAUSES[0],
        },
    )


def take_over(close_id: int, *, now: datetime) -> None:
    """Do what is left of a close that is due; of many workers one does."""
    due = PositionClose.objects.due(now=now).filter(pk=close_id)
    if due.order_by().update(due_at=now + LOOK_AGAIN):
        advance(close_id, now=now)


def advance(close_id: int, *, now: datetime) -> None:
    """Do what is left of a close. Safe to call twice, and at any time."""
    close = _read(close_id)
    account = close.connection.name
    case = gather.open_case(_proposed(close), _spec(close), now=now)
    with transaction.atomic(durable=True):
        (case,) = gather.lock([case])
        locks.rows(PositionClose.objects.filter(pk=close_id))
        locks.rows(_position(close))
        close = _read(close_id)
        if close.status != Progress.WORKING or not _take_in_order(close, now=now):
            return
        held = _position(close).values_list("quantity", flat=True).first() or Decimal(0)
        if reason := _is_over(close, held):
            _end(close, Progress.DONE, reason, now=now)
            return
        if not held:
            _wait(close, "", now + LOOK_AGAIN, now=now)  # entries that still work may fill
            return
        decided = close_position(
            replace(case, spec=_spec(close)),
            side=Side.SELL if held > 0 else Side.BUY,
            most=close.quantity,
            keeps_refusal=not close.detail,
        )
        if decided is None:  # what they do not close is closed here
            _wait(close, "it is being closed by other orders", now + LOOK_AGAIN, now=now)
            return
        if decided.order is None:
            close.turned_away += 1
            _wait(close, f"refused: {decided.refusal}", now + _pause(close), now=now)
            return
        close.order, close.sent = decided.order, close.sent + 1
        why = close.detail if close.turned_away else ""
        _wait(close, why, now + LOOK_AGAIN, now=now)
    hints.transmit(account)


def withdraw(close: PositionClose, *, now: datetime) -> None:
    """Let go of a locked close: what it has sent works on, nothing more is sent."""
    _end(close, Progress.WITHDRAWN, "withdrawn", now=now)


def _read(close_id: int) -> PositionClose:
    rows = PositionClose.objects.select_related(
        "connection", "instrument", "order", "signal__order", "action"
    )
    return rows.get(pk=close_id)


def _position(close: PositionClose) -> QuerySet[Position]:
    return Position.objects.filter(
        connection=close.connection_id, strategy=close.strategy, instrument=close.instrument_id
    )


def _origin(close: PositionClose) -> Origin:
    return Origin.EXIT if close.action_id is None else Origin.FLATTEN


def _proposed(close: PositionClose) -> Proposed:
    """Return the order as risk sees it; an EXIT's is of the type and at the prices it asked for."""
    first = close.signal.order if close.signal else None
    return Proposed(
        account=close.connection.name,
        strategy=close.strategy,
        symbol=close.instrument.symbol,
        side=None,
        quantity=None,
        order_type=OrderType(first.order_type) if first else OrderType.MARKET,
        limit_price=first.limit_price if first else None,
        stop_price=first.stop_price if first else None,
        reduce_only=True,
        origin=_origin(close).value,
        key=f"close/{close.pk}",
    )


def _spec(close: PositionClose) -> OrderSpec:
    first = close.signal.order if close.signal else None
    return OrderSpec(
        client="engine",
        leg=close.sent,
        time_in_force=TimeInForce(first.time_in_force) if first else TimeInForce.DAY,
        expires_at=first.expires_at if first else None,
        correlation_id=first.correlation_id if first else "",
    )


def _take_in_order(close: PositionClose, *, now: datetime) -> bool:
    """Take in what became of the order at work; tell whether the close can go on."""
    order = close.order
    if order is None:
        return True
    if order.status in OPEN:
        _wait(close, close.detail, now + LOOK_AGAIN, now=now)
        return False
    close.order = None
    if close.quantity is not None:
        close.quantity -= order.traded_quantity
        if close.quantity <= 0:
            _end(close, Progress.DONE, "closed", now=now)
            return False
    if order.status == OrderStatus.CANCELLED and order.status_reason == DRY_RUN:
        _end(close, Progress.WITHDRAWN, DRY_RUN, now=now)
        return False
    if order.traded_quantity >= order.quantity:
        close.turned_away = 0
        return True
    close.turned_away += 1
    why = f"order {order.pk} {order.status}: {order.status_reason}"
    _wait(close, why, now + _pause(close), now=now)
    return False


def _is_over(close: PositionClose, held: Decimal) -> str:
    """Return why nothing is left to do, or nothing."""
    if not held:
        return "" if entries_work(close) else "closed"
    if close.signal is None:
        return ""
    first: Order = close.signal.order
    if held * Side(first.side).sign > 0:
        return "the position has turned round"
    newer = Order.objects.filter(
        connection=close.connection_id,
        strategy=close.strategy,
        instrument=close.instrument_id,
        reduce_only=False,
        pk__gt=first.pk,
    )
    return "overtaken by a newer entry" if newer.exists() else ""


def entries_work(close: PositionClose) -> bool:
    """Tell whether an order that the flattening cancels could still fill."""
    if close.action is None:
        return False
    found = Order.objects.open().filter(
        pk__in=close.action.orders,
        connection=close.connection_id,
        strategy=close.strategy,
        instrument=close.instrument_id,
    )
    return found.exists()


def _pause(close: PositionClose) -> timedelta:
    return PAUSES[min(close.turned_away, len(PAUSES)) - 1]


def _wait(close: PositionClose, detail: str, until: datetime, *, now: datetime) -> None:
    """Look again later; people are alerted once when it takes long."""
    close.detail, close.due_at = detail[:200], until
    late = now - close.asked_at >= ALERT_AFTER or close.turned_away >= ALERT_TURNED_AWAY
    if detail and late and close.alerted_at is None:
        close.alerted_at = now
        _tell(close, f"not closed yet: {detail}", now=now)
    close.save()


def _end(close: PositionClose, status: Progress, detail: str, *, now: datetime) -> None:
    if close.alerted_at is not None:
        _tell(close, detail, now=now)
    close.status, close.detail, close.due_at, close.finished_at = status, detail[:200], None, now
    close.save()
    if close.action_id is not None:
        transaction.on_commit(partial(_look_at, close.action_id, now), robust=True)


def _look_at(action_id: int, now: datetime) -> None:
    """Have the action look again; apart from the close, since an action's row is locked first."""
    MassAction.objects.filter(pk=action_id, status=Progress.WORKING).update(due_at=now)
    hints.finish_asked()


def _tell(close: PositionClose, problem: str, *, now: datetime) -> None:
    account, symbol = close.connection.name, close.instrument.symbol
    logger.error("%s of %s in %s: %s", symbol, close.strategy, account, problem)
    data = {
        "account": account,
        "strategy": close.strategy,
        "symbol": symbol,
        "close": close.pk,
        "problem": problem[:200],
    }
    record_event(EventType.RECONCILIATION, data, account=account, at=now)


def of_exits(accounts: Collection[str]) -> QuerySet[PositionClose]:
    """Return the EXITs of these accounts that were turned away and are tried again."""
    rows = PositionClose.objects.filter(
        action=None, status=Progress.WORKING, connection__name__in=list(accounts)
    )
    return rows.select_related("connection", "instrument", "order").order_by("pk")[:MOST_SHOWN]


def of_order(order: Order) -> QuerySet[PositionClose]:
    """Return the closes that an order works for, and the one its turned away EXIT began."""
    mine = Q(order=order.pk)
    if order.signal_id is not None:
        mine |= Q(signal=order.signal_id)
    return PositionClose.objects.filter(mine).select_related("connection", "instrument", "order")


def describe(close: PositionClose) -> dict[str, object]:
    """Return how a close stands: what is held now, the order at work, what stands in the way.

    Nothing of what a close that is done was to close is held: what is held now is later trading's.
    """
    held = _position(close).values("pk", "quantity").first()
    left = held["quantity"] if held and close.status != Progress.DONE else Decimal(0)
    return {
        "id": close.pk,
        "position": held["pk"] if held else None,
        "account": close.connection.name,
        "strategy": close.strategy,
        "symbol": close.instrument.symbol,
        "status": close.status,
        "order": close.order_id,
        "quantity": decimal_text(close.order.quantity) if close.order else None,
        "held": decimal_text(left),
        "sent": close.sent,
        "result": _said(close),
    }


def _said(close: PositionClose) -> str:
    if close.status != Progress.WORKING:
        return close.detail
    return close.detail or ("closing" if close.order_id else "waits for cancels")
