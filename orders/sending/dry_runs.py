"""What a dry account did not send: kept with the attempt and in the log, where people read it.

The guard of every call to a venue (brokers/guarded.py) holds it back; here is what becomes of the
order. One that never was at its venue ends; one that works there keeps working, since nothing told
its venue otherwise.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from brokers.contract import Grant
from execution_site.floor import locks
from orders import order_state
from orders.lifecycle import OrderStatus, PendingAction, advance
from orders.models import Order, Replacement, SubmissionAttempt
from orders.models.replacement import OPEN, ReplacementStatus
from risk import control

DRY_RUN = "dry_run"
Outcome = SubmissionAttempt.Outcome
Request = dict[str, Any]


def end_order(grant: Grant, request: Request, *, now: datetime) -> None:
    """Cancel an order that was granted and held back; its trade of the day stays counted."""
    with transaction.atomic(durable=True):
        order = _answer(grant, request, now=now)
        if order.status not in {OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT}:
            return
        order.status = advance(OrderStatus(order.status), OrderStatus.CANCELLED).value
        order.status_reason = DRY_RUN
        order.pending_action = PendingAction.NONE.value
        order.poll_due_at = order.cancel_due_at = None
        order_state.save(order, now=now, shown={"request": request})


def refuse_replacement(grant: Grant, request: Request, *, now: datetime) -> None:
    """End new terms that were granted and held back; the order works on as it is."""
    with transaction.atomic(durable=True):
        order = _answer(grant, request, now=now)
        ended = Replacement.objects.filter(order=order, status__in=OPEN)
        ended.update(status=ReplacementStatus.REFUSED, detail=DRY_RUN, due_at=None)
        order.status_reason = f"modify not sent: {DRY_RUN}"
        order.poll_due_at = order.reserved_quantity = None
        if order.pending_action == PendingAction.REPLACE:
            order.pending_action = PendingAction.NONE.value
        order_state.save(order, now=now, fields=("reserved_quantity",), shown={"request": request})


def keep_cancel(order_id: int, request: Request, *, now: datetime) -> None:
    """Write a cancel that was held back, once however often it is tried; it stays asked for."""
    with transaction.atomic(durable=True):
        locks.senders_shared()
        order = _locked(order_id)
        if order.pending_action != PendingAction.CANCEL:
            return
        if order.attempts.filter(outcome=Outcome.DRY_RUN, request=request).exists():
            return
        SubmissionAttempt.objects.create(
            order=order,
            number=order.attempts.count() + 1,
            epoch=control.current().epoch,
            granted_at=timezone.now(),
            answered_at=now,
            outcome=Outcome.DRY_RUN,
            request=request,
        )
        order.status_reason = f"cancel not sent: {DRY_RUN}"
        order_state.save(order, now=now, shown={"request": request})


def _answer(grant: Grant, request: Request, *, now: datetime) -> Order:
    """Lock the attempt's order, write that the attempt was held back, and return the order."""
    order = _locked(grant.order_id)
    SubmissionAttempt.objects.filter(pk=grant.attempt_id).update(
        outcome=Outcome.DRY_RUN, request=request, answered_at=now
    )
    return order


def _locked(order_id: int) -> Order:
    locks.rows(Order.objects.filter(pk=order_id))
    return Order.objects.select_related("connection", "instrument").get(pk=order_id)
