"""An order's state: saved with its event; ended where we may, else its venue is asked to cancel."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from django.db import transaction

from execution_site.floor.events import EventType, record_event
from orders import hints
from orders.judging import closing
from orders.lifecycle import OrderStatus, PendingAction, advance
from orders.models import Order
from orders.payloads import order_json
from risk import trade_counts

FIELDS = [
    "status",
    "status_reason",
    "pending_action",
    "due_at",
    "cancel_due_at",
    "poll_due_at",
    "updated_at",
]


def cancel_locked(order: Order, *, reason: str, now: datetime) -> None:
    """Cancel an order whose row is locked: at once before any send, else by asking the venue."""
    account = order.connection.name
    if order.status == OrderStatus.PENDING:
        order.status = advance(OrderStatus.PENDING, OrderStatus.CANCELLED).value
        order.status_reason = reason
        order.due_at = None
    else:
        order.pending_action = PendingAction.CANCEL.value
        order.cancel_due_at = now
        transaction.on_commit(partial(hints.cancel, account), robust=True)
    save(order, now=now, on_request=True)


def fail(order: Order, reason: str) -> None:
    """End an order that never arrived; the day's trade it counted as is given back.

    The order, which is locked, is the caller's to save.
    """
    order.status = advance(OrderStatus(order.status), OrderStatus.FAILED).value
    order.status_reason = reason
    order.pending_action = PendingAction.NONE.value
    order.cancel_due_at = None
    trade_counts.count_trade(order.connection_id, order.strategy, order.trading_date, by=-1)


def save(
    order: Order,
    *,
    now: datetime,
    fields: tuple[str, ...] = (),
    shown: Mapping[str, Any] = MappingProxyType({}),
    on_request: bool = False,
) -> None:
    """Save an order's state, with its event, in the caller's transaction.

    `shown` goes into the event beside the order; `on_request`: where it has ended, its end had been
    asked for.
    """
    order.updated_at = now
    order.save(update_fields=[*FIELDS, *fields])
    account = order.connection.name
    data = order_json(order, account=account, symbol=order.instrument.symbol)
    record_event(EventType.ORDER, {**data, **shown}, account=account, at=now)
    follow_up(order, on_request=on_request, now=now)


def follow_up(order: Order, *, on_request: bool, now: datetime) -> None:
    """Have those who wait for a locked order that has changed go on, once that is committed."""
    if order.group_id is not None:
        transaction.on_commit(partial(hints.advance_group, order.group_id), robust=True)
    closing.follow_up(order, on_request=on_request, now=now)


def cancel_entries(*, connection_id: int, strategy: str, instrument_id: int, now: datetime) -> None:
    """Cancel a strategy's own working entries in an instrument, whose rows are locked."""
    working = Order.objects.open().filter(
        connection_id=connection_id,
        strategy=strategy,
        instrument_id=instrument_id,
        reduce_only=False,
        pending_action=PendingAction.NONE,
    )
    for order in working.select_related("connection", "instrument").order_by("pk"):
        cancel_locked(order, reason="exit", now=now)
