"""Asking venues: orders in doubt, cancels that must arrive, and the stream of reports."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from brokers import registry
from brokers.contract import BrokerError, DryRun, OrderReport
from orders import authority, dry_runs, entries, fills, replacement_sending
from orders.lifecycle import AT_VENUE, OrderStatus, PendingAction
from orders.models import Order, StreamCursor
from risk import locks, pacing

NOT_FOUNDS = 3
PROOF_SECONDS = 5
LOOK_UP_PAUSE = timedelta(seconds=2)
CANCEL_PAUSE = timedelta(seconds=2)

logger = logging.getLogger(__name__)


def look_up(order_id: int, *, now: datetime) -> None:
    """Ask the venue about one order that is due to be asked about, and book what it says."""
    due = Order.objects.filter(pk=order_id, poll_due_at__lte=now)
    if not due.update(poll_due_at=now + LOOK_UP_PAUSE):
        return  # not due, or another worker is asking
    order = Order.objects.select_related("connection").get(pk=order_id)
    account = order.connection.name
    try:
        report = registry.adapter_for(account).find_order(order.client_order_id)
    except BrokerError as e:  # no answer is no evidence
        logger.warning("order %s could not be looked up: %s", order_id, e)
        return
    if report is not None:
        fills.book(account, [report], now=timezone.now())
        replacement_sending.give_up(order_id, asked_at=now)
    else:
        _count_not_found(order_id, now=timezone.now())


def _count_not_found(order_id: int, *, now: datetime) -> None:
    """Count a definitive not-found; enough of them, over long enough, prove the order absent."""
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=order_id))
        order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
        if order.status != OrderStatus.IN_DOUBT:
            return
        if order.claimed_at is None or now < counts_from(order):
            return  # too early: a paused sender might still wake within its grant
        order.not_found_count += 1
        order.not_found_since = order.not_found_since or now
        proved = now - order.not_found_since >= timedelta(seconds=PROOF_SECONDS)
        if order.not_found_count >= NOT_FOUNDS and proved:
            entries.fail(order, "proved_absent")
            order.poll_due_at = None
        entries.save(order, now=now, fields=("not_found_count", "not_found_since"))


def counts_from(order: Order) -> datetime:
    """Return when a sender can no longer be on its way: grant and client timeout have run out."""
    adapter = registry.adapter_for(order.connection.name)
    if order.claimed_at is None:
        raise ValueError(f"order {order.pk} was never claimed")
    return order.claimed_at + timedelta(seconds=authority.GRANT_SECONDS + adapter.timeout_seconds)


def cancel(order_id: int, *, now: datetime) -> None:
    """Ask the venue to cancel an order whose cancel is due. Asking twice is harmless."""
    due = Order.objects.filter(
        pk=order_id, cancel_due_at__lte=now, pending_action=PendingAction.CANCEL
    )
    asked = due.filter(status__in=[*AT_VENUE, OrderStatus.IN_DOUBT])
    if not asked.update(cancel_due_at=now + CANCEL_PAUSE):
        return  # not due, being asked, or not yet acknowledged: its sender cancels it
    order = Order.objects.select_related("connection").get(pk=order_id)
    account = order.connection.name
    pacing.count(order.connection_id)
    try:
        report: OrderReport | None = registry.adapter_for(account).cancel(order.client_order_id)
    except DryRun as e:  # it stays due: it goes out when the account is dry no more
        dry_runs.keep_cancel(order_id, e.request, now=timezone.now())
        return
    except BrokerError as e:  # it stays due
        logger.warning("cancel of order %s not answered: %s", order_id, e)
        return
    if report is not None:
        fills.book(account, [report], now=timezone.now())


def follow(account: str, connection_id: int, *, now: datetime) -> int:
    """Read a venue's new reports, book them, and move the cursor in the same transaction.

    :returns: how many reports were read
    """
    seen, _ = StreamCursor.objects.get_or_create(
        connection_id=connection_id, defaults={"updated_at": now}
    )
    page = registry.adapter_for(account).reports_since(seen.cursor)
    if not page.reports:
        return 0
    with transaction.atomic(durable=True):
        fills.book_in_transaction(account, page.reports, now=now)
        StreamCursor.objects.filter(connection_id=connection_id).update(
            cursor=page.cursor, updated_at=now
        )
    return len(page.reports)
