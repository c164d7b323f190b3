"""The sweeper: all work, derived from rows again. A crash and a normal day are the same path."""

from datetime import datetime, timedelta

from django.db import transaction

from orders import approving, breaker_watch, groups, hints, proposals, submission
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Order
from orders.monitoring import counts_from
from orders.replacements import Replacement, ReplacementStatus
from risk import locks

OVERDUE = timedelta(seconds=1)
BATCH = 500


def sweep(*, now: datetime) -> int:
    """Hint at whatever waits, and put stuck senders' orders in doubt. Return how many rows."""
    return (
        _stuck(now=now)
        + _unsent(now=now)
        + _to_ask(now=now)
        + _to_cancel(now=now)
        + _to_replace(now=now)
        + _to_act()
        + _to_advance(now=now)
        + approving.expire(now=now)
        + proposals.expire(now=now)
    )


def _unsent(*, now: datetime) -> int:
    due = Order.objects.due(now=now - OVERDUE).order_by("due_at")[:BATCH]
    waiting = list(due.values_list("pk", "connection__name"))
    for order_id, account in waiting:
        hints.transmit(order_id, account)
    return len(waiting)


def _stuck(*, now: datetime) -> int:
    """A claim whose grant and timeout have run out has lost its sender: it may be there."""
    claimed = Order.objects.filter(status=OrderStatus.SUBMITTING, claimed_at__lt=now - OVERDUE)
    lost = [
        order.pk
        for order in claimed.select_related("connection")[:BATCH]
        if now >= counts_from(order)
    ]
    for order_id in lost:
        with transaction.atomic(durable=True):
            locks.rows(Order.objects.filter(pk=order_id))
            order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
            submission.mark_in_doubt(order, "the sender was lost", now=now)
    return len(lost)


def _to_ask(*, now: datetime) -> int:
    due = Order.objects.filter(poll_due_at__lte=now).order_by("poll_due_at")[:BATCH]
    ids = list(due.values_list("pk", flat=True))
    for order_id in ids:
        hints.look_up(order_id)
    return len(ids)


def _to_cancel(*, now: datetime) -> int:
    due = Order.objects.filter(cancel_due_at__lte=now, pending_action=PendingAction.CANCEL)
    waiting = list(due.order_by("cancel_due_at")[:BATCH].values_list("pk", "connection__name"))
    for order_id, account in waiting:
        hints.cancel(order_id, account)
    return len(waiting)


def _to_replace(*, now: datetime) -> int:
    due = Replacement.objects.filter(
        status=ReplacementStatus.WAITING, due_at__lte=now - OVERDUE
    ).order_by("due_at")[:BATCH]
    waiting = list(due.values_list("order_id", "order__connection__name"))
    for order_id, account in waiting:
        hints.replace(order_id, account)
    return len(waiting)


def _to_act() -> int:
    waiting = breaker_watch.waiting_to_act()
    for breaker_id in waiting:
        hints.act_on_breaker(breaker_id)
    return len(waiting)


def _to_advance(*, now: datetime) -> int:
    waiting = groups.due(now=now)[:BATCH]
    for group_id in waiting:
        hints.advance_group(group_id)
    return len(waiting)
