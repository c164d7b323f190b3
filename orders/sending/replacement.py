"""Sending new terms: the only module that calls an adapter's `replace`."""

from datetime import datetime, timedelta

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
from orders import hints
from orders.booking import terms, venue_reports
from orders.booking.venue_reports import Answer
from orders.models import Order, Replacement, SubmissionAttempt
from orders.models.replacement import OPEN, ReplacementStatus
from orders.sending import dry_runs, grants, in_flight

ATTEMPTS = 3
BACKOFF = timedelta(seconds=1)

Outcome = SubmissionAttempt.Outcome
Status = ReplacementStatus


def transmit(order_id: int, *, now: datetime) -> None:
    """Send an order's new terms, if any are due, and record what the venue said."""
    if grant := grants.grant_replacement(order_id, now=now):
        _send(grant)


def transmit_oldest(account: str, *, now: datetime) -> bool:
    """Send the new terms that have waited longest in an account; tell whether any were due."""
    claimed = grants.grant_oldest_replacement(account, now=now)
    if claimed is not None and claimed.grant is not None:
        _send(claimed.grant)
    return claimed is not None


def _send(grant: Grant) -> None:
    try:
        report = registry.adapter_for(grant.account).replace(grant)
    except BrokerUnavailable as e:  # nothing left this machine: due again, or FAILED
        last = grant.attempt >= ATTEMPTS
        _answered(grant, Outcome.UNSENT, Status.FAILED if last else Status.WAITING, str(e))
    except OutcomeUnknown as e:  # it may be so: the order's own report will say
        _answered(grant, Outcome.UNKNOWN, Status.SENT, str(e))
        hints.look_up(grant.account)
    except OrderRejected as e:  # the venue keeps the order as it was
        _answered(grant, Outcome.REJECTED, Status.REJECTED, str(e))
    except CredentialsRefused as e:  # nobody can trade there until a person acts
        _answered(grant, Outcome.UNSENT, Status.FAILED, f"credentials refused: {e}")
    except DryRun as e:  # the account only shows what it would send
        dry_runs.refuse_replacement(grant, e.request, now=timezone.now())
    else:
        answer = Answer(grant.attempt_id, Outcome.ANSWERED)
        venue_reports.book(grant.account, [report], now=timezone.now(), answer=answer)


def give_up(order_id: int, *, asked_at: float) -> None:
    """End new terms that a venue, asked when no sender could be on its way, does not know.

    `asked_at` is of the monotonic clock.
    """
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=order_id))
        row = Replacement.objects.filter(order=order_id, status=Status.SENT).first()
        if row is None:
            return
        known_for = asked_at - in_flight.since(in_flight.new_terms(row))
        if known_for < grants.LOST_AFTER.total_seconds():
            return
        _end(row, Status.FAILED, "the venue kept the order's terms", now=timezone.now())


def _answered(grant: Grant, outcome: Outcome, status: Status, detail: str) -> None:
    """Write what came of an attempt, and where the replacement stands now."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=grant.order_id))
        SubmissionAttempt.objects.filter(pk=grant.attempt_id).update(
            outcome=outcome, detail=detail[:200], answered_at=now
        )
        row = Replacement.objects.filter(order=grant.order_id, status__in=OPEN).first()
        if row is None:
            return  # the stream was faster
        match status:
            case Status.WAITING:
                row.status, row.due_at = status, now + BACKOFF * grant.attempt
                row.save(update_fields=["status", "due_at"])
            case Status.SENT:
                Order.objects.filter(pk=grant.order_id).update(poll_due_at=now)
            case _:
                _end(row, status, detail, now=now)


def _end(row: Replacement, status: Status, detail: str, *, now: datetime) -> None:
    """End new terms that were sent; the order, which is locked, is no longer asked about."""
    order = Order.objects.select_related("connection", "instrument").get(pk=row.order_id)
    order.poll_due_at = None
    order.status_reason = f"modify {status.lower()}: {detail}"[:200]
    terms.end_replacement(row, order, status, detail, now=now)
