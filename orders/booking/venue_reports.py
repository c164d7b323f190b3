"""Booking what a venue says: every report in one transaction, every fill exactly once.

Orders are locked by id, then positions by id; what is known is read in the next statement; each
order's changes (fills, totals, status, position, events) are one statement.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from brokers.contract import OrderReport
from execution_site.floor import locks
from execution_site.floor.events import EventType, record_event
from orders import hints, order_state
from orders.booking import position_fold, read_sql, terms, write_sql
from orders.lifecycle import OrderStatus, PendingAction, is_open, owes_fills, status_after
from orders.models import Fill, FillAmendment, Order
from portfolio.fold import Closed, FoldKey
from portfolio.holding import quantize
from portfolio.models import Position
from risk import trade_counts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the venue answered to an attempt, to be written with the report."""

    attempt_id: int
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """One report, with the trades of its instrument that are booked, and ids for new rows.

    `amended`: some of the trades in one report have been busted or corrected.
    """

    report: OrderReport
    known: set[tuple[str, str]]
    amended: bool
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
    read_sql.lock_orders_and_positions(account, ids)
    found, fill_ids = read_sql.to_book(account, ids, trades)
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
        amended = booked_into.amended
        news = News(report, known[order.instrument_id], amended, fill_ids, answer)
        _apply(order, position, news, now=now)


def _apply(order: Order, position: Position, news: News, *, now: datetime) -> None:
    """Apply one report to its locked order and position."""
    report = news.report
    before, was_named, asked = _state(order), order.venue_order_id, order.pending_action
    terms.take_terms(order, report)
    fills, amendments = _new_fills(order, news, now=now), _new_amendments(order, news, now=now)
    realized_before, commission_before = position.realized_pnl, position.commission
    amends = bool(amendments) or news.amended
    closed: Sequence[Closed] = ()
    if amends and (fills or amendments):
        closed = position_fold.refold(position, order, fills, amendments, now=now)
    elif fills:
        order.add(map(position_fold.execution, fills))
        closed = position_fold.fold_into(position, order, fills, now=now)
    for fill in fills:
        order.filled_at = max(order.filled_at or fill.traded_at, fill.traded_at)
    _advance(order, report, now=now)
    if asked != PendingAction.NONE:
        terms.settle_replacements(order, now=now)
    if not (fills or amendments) and _state(order) == before and news.answer is None:
        return
    order.updated_at = now
    write_sql.write(
        write_sql.BookingChange(
            order=order,
            position=position,
            fills=fills,
            amendments=amendments,
            closed=closed,
            realized=quantize(position.realized_pnl) - quantize(realized_before),
            commission=position.commission - commission_before,
            newly_named=order.venue_order_id != was_named,
            answer=news.answer,
        ),
        now=now,
    )
    order_state.follow_up(order, on_request=asked == PendingAction.CANCEL, now=now)
    news.known.update((fill.venue_trade_id, fill.side) for fill in fills)
    if order.traded_quantity > order.quantity:
        _report_problem(order, "overfill", now=now)
    for amendment in amendments:
        _report_problem(order, f"{amendment.kind.lower()} {amendment.venue_trade_id}", now=now)
    if order.pending_action == PendingAction.CANCEL and is_open(order.status):
        transaction.on_commit(partial(hints.cancel, order.connection.name), robust=True)


def _state(order: Order) -> tuple[Any, ...]:
    """Return what of an order a client would see change."""
    return (
        order.status,
        order.venue_order_id,
        order.pending_action,
        order.status_reason,
        terms.terms_of(order),
    )


def _new_fills(order: Order, news: News, *, now: datetime) -> list[Fill]:
    """Return the executions of a report that are not booked yet, in the venue's order."""
    late = not is_open(order.status)
    trades = {(f.venue_trade_id, f.side.value): f for f in news.report.fills if f.kind == "NEW"}
    fresh = [f for trade, f in trades.items() if trade not in news.known]
    fresh.sort(key=lambda f: FoldKey(f.traded_at, f.place, f.venue_trade_id))
    return [
        Fill(
            pk=next(news.fill_ids),
            order=order,
            connection_id=order.connection_id,
            instrument=order.instrument,
            strategy=order.strategy,
            venue_trade_id=f.venue_trade_id,
            sequence=f.place,
            side=f.side.value,
            quantity=quantize(f.quantity),
            price=quantize(f.price),
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


def _new_amendments(order: Order, news: News, *, now: datetime) -> list[FillAmendment]:
    """Return the busts and corrections of a report that are not booked yet."""
    told = {
        (f.venue_trade_id, f.side.value, f.revision): f
        for f in news.report.fills
        if f.kind != "NEW"
    }
    if not told:
        return []
    booked = FillAmendment.objects.filter(
        connection=order.connection_id,
        instrument=order.instrument_id,
        venue_trade_id__in=[trade for trade, _, _ in told],
    )
    known = set(booked.values_list("venue_trade_id", "side", "revision"))
    return [
        FillAmendment(
            pk=next(news.fill_ids),
            connection_id=order.connection_id,
            instrument_id=order.instrument_id,
            venue_trade_id=f.venue_trade_id,
            side=f.side.value,
            kind=f.kind.value,
            revision=f.revision,
            quantity=quantize(f.quantity),
            price=quantize(f.price),
            commission=quantize(f.commission),
            commission_currency=f.commission_currency,
            reported_at=news.report.reported_at,
            received_at=now,
        )
        for key, f in told.items()
        if key not in known
    ]


def _advance(order: Order, report: OrderReport, *, now: datetime) -> None:
    """Move the order to where the report leads, and settle what we still want to know of it."""
    was = OrderStatus(order.status)
    order.status = status_after(
        was, said=report.status, quantity=order.quantity, filled=order.traded_quantity
    ).value
    order.venue_order_id = report.venue_order_id or order.venue_order_id
    order.submitted_at = order.submitted_at or order.claimed_at
    order.not_found_count, order.not_found_since = 0, None
    order.poll_due_at = now if owes_fills(report, filled=order.traded_quantity) else None
    if was is OrderStatus.FAILED and order.status != was:
        trade_counts.count_trade(order.connection_id, order.strategy, order.trading_date, by=1)
    if was is OrderStatus.FAILED and order.status == OrderStatus.ACCEPTED:
        logger.error("order %s was proved absent and is acknowledged: cancelling", order.pk)
        order.pending_action, order.cancel_due_at = PendingAction.CANCEL.value, now
    if order.status != was and report.reason and order.status == report.status.value:
        order.status_reason = report.reason[:200]
    if not is_open(order.status):
        if order.pending_action == PendingAction.CANCEL:
            order.pending_action = PendingAction.NONE.value
        order.cancel_due_at = order.due_at = None


def _new_position(order: Order, *, now: datetime) -> Position:
    """Make the position of an order that came without one, and lock it."""
    position, _ = locks.for_update(Position.objects.all()).get_or_create(
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


def _report_problem(order: Order, problem: str, *, now: datetime) -> None:
    logger.error("order %s: %s", order.pk, problem)
    account = order.connection.name
    data = {"account": account, "problem": problem, "order": order.pk}
    record_event(EventType.RECONCILIATION, data, account=account, at=now)
