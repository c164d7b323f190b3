"""Asking venues: orders in doubt, cancels that must arrive, and the stream of reports."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from brokers import registry
from brokers.contract import BrokerError, DryRun, OrderReport
from execution_site.floor import locks
from execution_site.floor.leases import Held
from orders import order_state
from orders.booking import venue_reports
from orders.lifecycle import AT_VENUE, OrderStatus, PendingAction
from orders.models import Order, StreamCursor
from orders.sending import dry_runs, grants, in_flight, replacement
from risk import pacing

NOT_FOUNDS = 3
PROOF_SECONDS = 5
LOOK_UP_PAUSE = timedelta(seconds=2)
CANCEL_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(seconds=30)  # nothing is asked again later than this

logger = logging.getLogger(__name__)


def look_up(order_id: int, *, now: datetime) -> bool:
    """Ask the venue about an order where that is due; tell whether it was."""
    return _look_up_first(Order.objects.filter(pk=order_id), now=now)


def look_up_oldest(account: str, *, now: datetime) -> bool:
    """Ask an account's venue about the order that is due for longest; tell whether any was."""
    return _look_up_first(Order.objects.filter(connection__name=account), now=now)


def _look_up_first(orders: QuerySet[Order], *, now: datetime) -> bool:
    """Ask about the first of these orders that is due, and book what the venue says."""
    due = orders.filter(due_again("poll_due_at", now=now)).order_by("poll_due_at", "pk")
    if (order_id := _take_first(due, poll_due_at=now + LOOK_UP_PAUSE)) is None:
        return False
    order = Order.objects.select_related("connection").get(pk=order_id)
    account = order.connection.name
    asked_at = in_flight.monotonic()
    try:
        report = registry.adapter_for(account).find_order(order.client_order_id)
    except BrokerError as e:  # no answer is no evidence
        logger.warning("order %s could not be looked up: %s", order_id, e)
        return True
    if report is not None:
        venue_reports.book(account, [report], now=timezone.now())
        replacement.give_up(order_id, asked_at=asked_at)
    else:
        _count_not_found(order_id, asked_at=asked_at, now=timezone.now())
    return True


def _take_first(due: QuerySet[Order], **again: datetime) -> int | None:
    """Return the first due order that no other worker is taking, and when it is due again."""
    with transaction.atomic(durable=True):
        order_id = locks.first_free(due)
        if order_id is not None:
            Order.objects.filter(pk=order_id).update(**again)
    return order_id


def due_again(column: str, *, now: datetime) -> Q:
    """Return what is due by a column: its time has come, or lies further ahead than any pause.

    Such a time was written before the clock was set back.
    """
    return Q(**{f"{column}__lte": now}) | Q(**{f"{column}__gt": now + LONGEST_PAUSE})


def _count_not_found(order_id: int, *, asked_at: float, now: datetime) -> None:
    """Count a definitive not-found; enough of them, over long enough, prove the order absent.

    `asked_at`, when the venue was asked, is by the monotonic clock, as is what counts from it.
    """
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=order_id))
        order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
        if order.status != OrderStatus.IN_DOUBT:
            return
        if not sender_is_lost(order, at=asked_at):
            return  # too early: a paused sender might still wake within its grant
        order.not_found_count += 1
        order.not_found_since = order.not_found_since or now
        absent_since = in_flight.absent_since(in_flight.claim(order), asked_at=asked_at)
        proved = asked_at - absent_since >= PROOF_SECONDS
        if order.not_found_count >= NOT_FOUNDS and proved:
            order_state.fail(order, "proved_absent")
            order.poll_due_at = None
        order_state.save(order, now=now, fields=("not_found_count", "not_found_since"))


def sender_is_lost(order: Order, *, at: float) -> bool:
    """Tell whether, then, a sender could no longer be on its way: grant and timeout had run out.

    `at` is of the monotonic clock.
    """
    adapter = registry.adapter_for(order.connection.name)
    known_for = at - in_flight.since(in_flight.claim(order))
    return known_for >= grants.GRANT_SECONDS + adapter.timeout_seconds


def cancel(order_id: int, *, now: datetime) -> bool:
    """Ask the venue to cancel an order where that is due; tell whether it was."""
    return _cancel_first(Order.objects.filter(pk=order_id), now=now)


def cancel_oldest(account: str, *, now: datetime) -> bool:
    """Ask an account's venue for the cancel that is due for longest; tell whether any was."""
    return _cancel_first(Order.objects.filter(connection__name=account), now=now)


def _cancel_first(orders: QuerySet[Order], *, now: datetime) -> bool:
    """Ask for the first of these cancels that is due. Asking twice is harmless.

    An order that is not acknowledged yet is cancelled by its sender.
    """
    asked = orders.filter(
        due_again("cancel_due_at", now=now),
        pending_action=PendingAction.CANCEL,
        status__in=[*AT_VENUE, OrderStatus.IN_DOUBT],
    ).order_by("cancel_due_at", "pk")
    if (order_id := _take_first(asked, cancel_due_at=now + CANCEL_PAUSE)) is None:
        return False
    order = Order.objects.select_related("connection").get(pk=order_id)
    account = order.connection.name
    pacing.count(order.connection_id)
    try:
        report: OrderReport | None = registry.adapter_for(account).cancel(order.client_order_id)
    except DryRun as e:  # it stays due: it goes out when the account is dry no more
        dry_runs.keep_cancel(order_id, e.request, now=timezone.now())
        return True
    except BrokerError as e:  # it stays due
        logger.warning("cancel of order %s not answered: %s", order_id, e)
        return True
    if report is not None:
        venue_reports.book(account, [report], now=timezone.now())
    return True


def follow(account: str, connection_id: int, *, now: datetime, held: Held | None = None) -> int:
    """Read a venue's new reports, book them, and move the cursor in the same transaction.

    The venue is asked without a transaction, however long it takes. Who has moved the cursor
    meanwhile was faster: what was read is then left to the next call. `held`, the lease that the
    caller works under, fences what is written: at the end, so that nobody waits for the lease while
    this waits for an order.

    :returns: how many reports were read
    :raises LeaseLost: the caller's lease has changed hands
    """
    cursors = StreamCursor.objects.filter(connection_id=connection_id)
    seen = cursors.values_list("cursor", flat=True).first()
    page = registry.adapter_for(account).reports_since(seen or "")
    if not page.reports:
        return 0
    with transaction.atomic(durable=True):
        if seen is None:
            cursors.get_or_create(connection_id=connection_id, defaults={"updated_at": now})
        if cursors.filter(cursor=seen or "").update(cursor=page.cursor, updated_at=now):
            venue_reports.book_in_transaction(account, page.reports, now=now)
        if held is not None:
            held.fence()
    return len(page.reports)
