"""Sending orders: the only module that calls an adapter's `submit`."""

import logging
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from brokers import registry
from brokers.contract import (
    BrokerUnavailable,
    CredentialsRefused,
    DryRun,
    Grant,
    OrderRejected,
    OutcomeUnknown,
)
from execution_site.floor import locks
from orders import hints, order_state
from orders.booking import venue_reports
from orders.booking.venue_reports import Answer
from orders.lifecycle import OrderStatus, PendingAction, advance
from orders.models import Order, SubmissionAttempt
from orders.sending import dry_runs, grants

ATTEMPTS = 3
BACKOFF_SECONDS = (1, 2, 4)
CLAIM_AGAIN = timedelta(seconds=2)

Outcome = SubmissionAttempt.Outcome
logger = logging.getLogger(__name__)


def transmit(order_id: int, *, now: datetime) -> None:
    """Send one due order to its venue and record what the venue said. Safe to call twice."""
    if grant := grants.claim_and_grant(order_id, now=now):
        _send(grant)


def transmit_oldest(account: str, *, now: datetime) -> bool:
    """Send the order that has waited longest in an account; tell whether any was due.

    One that cannot be claimed is tried again later: those behind it do not wait for it.
    """
    try:
        claimed = grants.claim_oldest(account, now=now)
    except grants.ClaimFailed as e:
        logger.exception("tried again in %s s", CLAIM_AGAIN.total_seconds())
        Order.objects.due(now=now).filter(pk=e.order_id).update(due_at=now + CLAIM_AGAIN)
        return True
    if claimed is not None and claimed.grant is not None:
        _send(claimed.grant)
    return claimed is not None


def _send(grant: Grant) -> None:
    try:
        report = registry.adapter_for(grant.account).submit(grant)
    except BrokerUnavailable as e:  # nothing left this machine: due again later, or FAILED
        _record_unsent(grant, str(e), now=timezone.now())
    except OutcomeUnknown as e:  # it may be there: never resend, ask
        _record_in_doubt(grant, str(e), now=timezone.now())
    except OrderRejected as e:  # the venue's own word: final
        _record_rejected(grant, str(e), now=timezone.now())
    except CredentialsRefused as e:  # nobody can trade there until a person acts
        _record_refused_credentials(grant, str(e), now=timezone.now())
    except DryRun as e:  # the account only shows what it would send
        dry_runs.end_order(grant, e.request, now=timezone.now())
    else:
        answer = Answer(grant.attempt_id, Outcome.ANSWERED)
        venue_reports.book(grant.account, [report], now=timezone.now(), answer=answer)


def _record_unsent(grant: Grant, reason: str, *, now: datetime) -> None:
    """Make the order due again, or end it after the last attempt."""
    with transaction.atomic(durable=True):
        order = _close_attempt(grant, Outcome.UNSENT, reason)
        if order.status != OrderStatus.SUBMITTING:
            return
        on_request = order.pending_action == PendingAction.CANCEL
        order.retry_count += 1
        order.status_reason = reason[:200]
        if on_request:
            order_state.fail(order, "cancelled_before_send")
        elif order.retry_count >= ATTEMPTS:
            order_state.fail(order, "retries_exhausted")
        else:
            order.status = advance(OrderStatus.SUBMITTING, OrderStatus.PENDING).value
            order.due_at = now + timedelta(seconds=BACKOFF_SECONDS[order.retry_count - 1])
        order_state.save(order, now=now, fields=("retry_count",), on_request=on_request)


def _record_in_doubt(grant: Grant, reason: str, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        order = _close_attempt(grant, Outcome.UNKNOWN, reason)
        mark_in_doubt(order, reason, now=now)


def mark_in_doubt(order: Order, reason: str, *, now: datetime) -> None:
    """Put a locked order IN_DOUBT, to be looked up at once. What it holds stays reserved."""
    if order.status != OrderStatus.SUBMITTING:
        return  # the venue has been heard of meanwhile
    order.status = advance(OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT).value
    order.status_reason = reason[:200]
    order.poll_due_at = now
    order_state.save(order, now=now)
    transaction.on_commit(partial(hints.look_up, order.connection.name), robust=True)


def _record_rejected(grant: Grant, reason: str, *, now: datetime) -> None:
    with transaction.atomic(durable=True):
        order = _close_attempt(grant, Outcome.REJECTED, reason)
        if order.status not in {OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT}:
            return
        on_request = order.pending_action == PendingAction.CANCEL
        order.status = advance(OrderStatus(order.status), OrderStatus.REJECTED).value
        order.status_reason = reason[:200]
        order.pending_action = PendingAction.NONE.value
        order.poll_due_at = order.cancel_due_at = None
        order_state.save(order, now=now, on_request=on_request)


def _record_refused_credentials(grant: Grant, reason: str, *, now: datetime) -> None:
    """End the order: the venue took nothing from us."""
    with transaction.atomic(durable=True):
        order = _close_attempt(grant, Outcome.UNSENT, reason)
        if order.status == OrderStatus.SUBMITTING:
            order_state.fail(order, "credentials_refused")
            order_state.save(order, now=now)


def _close_attempt(grant: Grant, outcome: Outcome, detail: str) -> Order:
    """Lock the attempt's order, write what came of the attempt, and return the order."""
    locks.rows(Order.objects.filter(pk=grant.order_id))
    SubmissionAttempt.objects.filter(pk=grant.attempt_id).update(
        outcome=outcome, detail=detail[:200], answered_at=timezone.now()
    )
    return Order.objects.select_related("connection", "instrument").get(pk=grant.order_id)
