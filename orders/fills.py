"""Booking what a venue says: every report in one transaction, every fill exactly once.

Orders are locked by id, then positions by id; what is known is read in the next statement; each
order's changes (fills, totals, status, position, events) are one statement.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from brokers.contract import OrderReport, Side
from execution_site.events import EventType, record_event
from orders import hints, reading, replacing, writing
from orders.booking import (
    Execution,
    Folded,
    FoldKey,
    fold,
    is_open,
    owes_fills,
    refold_from,
    status_after,
)
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Fill, Order
from portfolio.holding import Holding, quantize
from portfolio.models import Position
from risk import locks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the venue answered to an attempt, to be written with the report."""

    attempt_id: int
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """One report, with the trades of its instrument that are booked, and ids for new fills."""

    report: OrderReport
    known: set[tuple[str, str]]
    fill_ids: Iterator[int]
    answer: Answer | None


def book(
    account: str,
    reports: Sequence[OrderReport],
    *,
    now: datetime,
    answer: Answer | None = None,
) -> None:
    """Book a venue's reports in a durable transaction of their own."""
    with transaction.atomic(durable=True):
        book_in_transaction(account, reports, now=now, answer=answer)


def book_in_transaction(
    account: str,
    reports: Sequence[OrderReport],
    *,
    now: datetime,
    answer: Answer | None = None,
) -> None:
    """Book a venue's reports. Repeats, and reports overtaken by later ones, change nothing."""
    ids = [report.client_order_id for report in reports]
    trades = [fill.venue_trade_id for report in reports for fill in report.fills]
    locks.orders_and_positions(account, ids)
    found, fill_ids = reading.to_book(account, ids, trades)
    positions: dict[tuple[str, int], Position] = {}
    known: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for booked in found.values():
        order = booked.order
        known[order.instrument_id] |= booked.known
        key = (order.strategy, order.instrument_id)
        positions[key] = booked.position or positions.get(key) or _new_position(order, now=now)
    for report in reports:
        booked_into = found.get(report.client_order_id)
        if booked_into is None:
            _report_unknown(account, report, now=now)
            continue
        order = booked_into.order
        position = positions[order.strategy, order.instrument_id]
        news = News(report, known[order.instrument_id], fill_ids, answer)
        _apply(order, position, news, now=now)


def _apply(order: Order, position: Position, news: News, *, now: datetime) -> None:
    """Apply one report to its locked order and position."""
    report = news.report
    before, was_named = _state(order), order.venue_order_id
    replacing.take_terms(order, report)
    fills = _new_fills(order, news, now=now)
    realized_before = position.realized_pnl
    _total(order, fills)
    _advance(order, report, now=now)
    replacing.settle(order, now=now)
    if not fills and _state(order) == before and news.answer is None:
        return
    order.updated_at = now
    if fills:
        _fold_into(position, order, fills, now=now)
    writing.write(
        order,
        position,
        fills,
        realized_before=realized_before,
        answer=news.answer,
        newly_named=order.venue_order_id != was_named,
        now=now,
    )
    news.known.update((fill.venue_trade_id, fill.side) for fill in fills)
    if order.filled_quantity > order.quantity:
        _report_overfill(order, now=now)
    if order.pending_action == PendingAction.CANCEL and is_open(order.status):
        account, order_id = order.connection.name, order.pk
        transaction.on_commit(lambda: hints.cancel(order_id, account), robust=True)


def _state(order: Order) -> tuple[Any, ...]:
    """Return what of an order a client would see change."""
    return (
        order.status,
        order.venue_order_id,
        order.pending_action,
        order.status_reason,
        replacing.terms_of(order),
    )


def _new_fills(order: Order, news: News, *, now: datetime) -> list[Fill]:
    """Return the executions of a report that are not booked yet, in the venue's order."""
    late = not is_open(order.status)
    fresh = [f for f in news.report.fills if (f.venue_trade_id, f.side.value) not in news.known]
    fresh.sort(key=lambda f: FoldKey(f.traded_at, f.venue_trade_id))
    return [
        Fill(
            pk=next(news.fill_ids),
            order=order,
            connection_id=order.connection_id,
            instrument_id=order.instrument_id,
            strategy=order.strategy,
            venue_trade_id=f.venue_trade_id,
            side=f.side.value,
            quantity=f.quantity,
            price=f.price,
            commission=quantize(f.commission),
            commission_currency=f.commission_currency,
            liquidity=f.liquidity.value,
            flags=list(f.flags),
            late=late,
            trading_date=order.connection.trading_date(f.traded_at),
            traded_at=f.traded_at,
            received_at=now,
        )
        for f in fresh
    ]


def _total(order: Order, fills: Sequence[Fill]) -> None:
    for fill in fills:
        order.filled_quantity += fill.quantity
        order.filled_cost = quantize(order.filled_cost + fill.quantity * fill.price)
        order.commission += fill.commission
        order.filled_at = max(order.filled_at or fill.traded_at, fill.traded_at)


def _advance(order: Order, report: OrderReport, *, now: datetime) -> None:
    """Move the order to where the report leads, and settle what we still want to know of it."""
    was = OrderStatus(order.status)
    order.status = status_after(
        was, said=report.status, quantity=order.quantity, filled=order.filled_quantity
    ).value
    order.venue_order_id = report.venue_order_id or order.venue_order_id
    order.submitted_at = order.submitted_at or order.claimed_at
    order.not_found_count, order.not_found_since = 0, None
    order.poll_due_at = now if owes_fills(report, filled=order.filled_quantity) else None
    if was is OrderStatus.FAILED and order.status == OrderStatus.ACCEPTED:
        logger.error("order %s was proved absent and is acknowledged: cancelling", order.pk)
        order.pending_action, order.cancel_due_at = PendingAction.CANCEL.value, now
    if order.status != was and report.reason and order.status == report.status.value:
        order.status_reason = report.reason[:200]
    if not is_open(order.status):
        if order.pending_action == PendingAction.CANCEL:
            order.pending_action = PendingAction.NONE.value
        order.cancel_due_at = order.due_at = None


def _fold_into(position: Position, order: Order, fills: Sequence[Fill], *, now: datetime) -> None:
    """Fold new fills into a locked position; one that is older than the newest refolds it."""
    multiplier = order.instrument.multiplier
    folded = _folded(position)
    new = [_execution(fill) for fill in fills]
    after = refold_from(folded, new)
    if after is False:
        result = fold(folded, new, multiplier=multiplier)
    else:
        start = Folded() if after is None else _flat_start(folded)
        booked = Fill.objects.filter(
            connection_id=position.connection_id,
            strategy=position.strategy,
            instrument_id=position.instrument_id,
        )
        if isinstance(after, FoldKey):
            booked = booked.filter(traded_at__gte=after.traded_at)
        every = sorted([*map(_execution, booked), *new], key=lambda one: one.key)
        newer = [one for one in every if start.newest is None or one.key > start.newest]
        result = fold(start, newer, multiplier=multiplier)
    _unfold(position, result, now=now)


def _folded(position: Position) -> Folded:
    newest = flat = None
    if position.folded_at is not None:
        newest = FoldKey(position.folded_at, position.folded_trade_id)
    if position.flat_at is not None:
        flat = FoldKey(position.flat_at, position.flat_trade_id)
    flat_held = Holding(
        realized_pnl=position.flat_realized_pnl, commission=position.flat_commission
    )
    return Folded(position.holding, newest, flat, flat_held)


def _flat_start(folded: Folded) -> Folded:
    return Folded(folded.flat_held, folded.flat, folded.flat, folded.flat_held)


def _unfold(position: Position, folded: Folded, *, now: datetime) -> None:
    held = folded.held
    position.quantity, position.cost = held.quantity, held.cost
    position.realized_pnl, position.commission = held.realized_pnl, held.commission
    if folded.newest is not None:
        position.folded_at, position.folded_trade_id = folded.newest
    if folded.flat is not None:
        position.flat_at, position.flat_trade_id = folded.flat
        position.flat_realized_pnl = folded.flat_held.realized_pnl
        position.flat_commission = folded.flat_held.commission
    position.updated_at = now


def _execution(fill: Fill) -> Execution:
    key = FoldKey(fill.traded_at, fill.venue_trade_id)
    return Execution(key, Side(fill.side), fill.quantity, fill.price, fill.commission)


def _new_position(order: Order, *, now: datetime) -> Position:
    """Make the position of an order that came without one, and lock it."""
    position, _ = Position.objects.select_for_update().get_or_create(
        connection_id=order.connection_id,
        strategy=order.strategy,
        instrument_id=order.instrument_id,
        defaults={"updated_at": now},
    )
    return position


def _report_unknown(account: str, report: OrderReport, *, now: datetime) -> None:
    logger.error("%s reports an order that is not ours: %s", account, report.client_order_id)
    data = {
        "account": account,
        "problem": "unknown_order",
        "client_order_id": report.client_order_id,
        "venue_order_id": report.venue_order_id,
    }
    record_event(EventType.RECONCILIATION, data, account=account, at=now)


def _report_overfill(order: Order, *, now: datetime) -> None:
    logger.error("order %s is filled beyond its quantity", order.pk)
    account = order.connection.name
    data = {"account": account, "problem": "overfill", "order": order.pk}
    record_event(EventType.RECONCILIATION, data, account=account, at=now)
