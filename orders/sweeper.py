"""The sweeper: all work, derived from rows again. A crash and a normal day are the same path."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from execution_site import idempotency
from orders import approving, breaker_watch, groups, hints, proposals, submission
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import MassAction, Order, PositionClose
from orders.monitoring import counts_from
from orders.replacements import ReplacementStatus
from risk import control, locks

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
        + _to_finish(now=now)
        + control.finish_drains(now=now)
        + idempotency.forget(now=now)
    )


def _unsent(*, now: datetime) -> int:
    return _hint_at(Order.objects.due(now=now - OVERDUE), hints.transmit)


def _hint_at(due: QuerySet[Order], hint: Callable[[str], None]) -> int:
    """Give each account a hint that has orders which are due; return how many accounts."""
    accounts = list(due.order_by().values_list("connection__name", flat=True).distinct())
    for account in accounts:
        hint(account)
    return len(accounts)


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
    return _hint_at(Order.objects.filter(poll_due_at__lte=now), hints.look_up)


def _to_cancel(*, now: datetime) -> int:
    due = Order.objects.filter(cancel_due_at__lte=now, pending_action=PendingAction.CANCEL)
    return _hint_at(due, hints.cancel)


def _to_replace(*, now: datetime) -> int:
    waiting = Q(replacements__status=ReplacementStatus.WAITING)
    due = waiting & Q(replacements__due_at__lte=now - OVERDUE)
    return _hint_at(Order.objects.filter(due), hints.transmit)


def _to_act() -> int:
    waiting = breaker_watch.waiting_to_act()
    if waiting:
        hints.act_on_breakers()
    return len(waiting)


def _to_advance(*, now: datetime) -> int:
    waiting = groups.due(now=now)[:BATCH]
    for group_id in waiting:
        hints.advance_group(group_id)
    return len(waiting)


def _to_finish(*, now: datetime) -> int:
    """What was asked of many, and positions that are being closed."""
    waiting = MassAction.objects.due(now=now).count() + PositionClose.objects.due(now=now).count()
    if waiting:
        hints.finish_asked()
    return waiting
