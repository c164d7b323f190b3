"""Folding fills into a locked position: from its newest fill, a kept point, or the start."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from brokers.contract import Side
from brokers.instruments.kinds import decimal_text
from orders.models import Fill, FillAmendment, Order
from portfolio.fold import (
    Amendment,
    Closed,
    Execution,
    Folded,
    FoldKey,
    Point,
    Trade,
    before,
    charged,
    effective,
    fold,
    in_order,
)
from portfolio.holding import Holding
from portfolio.models import ClosedTrade, Position


def fold_into(
    position: Position, order: Order, fills: Sequence[Fill], *, now: datetime
) -> Sequence[Closed]:
    """Fold new fills into a locked position; one that is older than the newest refolds it.

    Return the trades they closed; those that a refold makes anew are forgotten first.
    """
    folded = _folded(position)
    new = in_order(map(execution, fills))
    start = before(folded, new)
    if start is folded:
        result = fold(folded, new, multiplier=order.instrument.multiplier)
    else:
        result = _refold(position, order, start, new)
    _unfold(position, result, now=now)
    return result.closed


def refold(
    position: Position,
    order: Order,
    fills: Sequence[Fill],
    amendments: Sequence[FillAmendment],
    *,
    now: datetime,
) -> Sequence[Closed]:
    """Fold a locked position again from its first fill: a trade in it has been amended.

    The order's totals are summed again too, over what its trades now are. Return the trades closed.
    """
    new = [execution(fill) for fill in fills]
    result = _refold(position, order, Folded(), new, amendments)
    _unfold(position, result, now=now)
    booked = Fill.objects.filter(order=order).select_related("instrument")
    mine = [*map(execution, booked), *new]
    order.total(mine, effective(mine, amendments_of(order, mine, amendments)))
    return result.closed


def amendments_of(
    order: Order, executions: Sequence[Execution], new: Sequence[FillAmendment] = ()
) -> dict[Trade, Amendment]:
    """Return the amendment that counts of each of these executions that is amended."""
    booked = FillAmendment.objects.filter(
        connection=order.connection_id,
        instrument=order.instrument_id,
        venue_trade_id__in={one.key.venue_trade_id for one in executions},
    )
    counting: dict[Trade, Amendment] = {}
    for row in sorted([*booked, *new], key=lambda row: row.revision):
        trade = Trade(row.venue_trade_id, Side(row.side))
        paid = charged(row.commission, row.commission_currency, of=order.instrument.currency)
        counting[trade] = Amendment(row.kind, row.quantity, row.price, *paid)
    return counting


def execution(fill: Fill) -> Execution:
    """Return a fill as a position sees it."""
    key = FoldKey(fill.traded_at, int(fill.sequence), fill.venue_trade_id)
    paid, elsewhere = charged(
        fill.commission, fill.commission_currency, of=fill.instrument.currency
    )
    return Execution(
        key, Side(fill.side), fill.quantity, fill.price, paid, fill.trading_date, elsewhere
    )


def _refold(
    position: Position,
    order: Order,
    start: Folded,
    new: Sequence[Execution],
    amendments: Sequence[FillAmendment] = (),
) -> Folded:
    """Return the position folded again from `start`, with the new executions in their places."""
    mine: dict[str, Any] = {
        "connection_id": position.connection_id,
        "strategy": position.strategy,
        "instrument_id": position.instrument_id,
    }
    booked, closed = Fill.objects.filter(**mine), ClosedTrade.objects.filter(**mine)
    newest = start.now.newest
    if newest is not None:
        booked = booked.filter(traded_at__gte=newest.traded_at)
        at, sequence, trade = newest
        later = Q(sequence__gt=sequence) | Q(sequence=sequence, venue_trade_id__gt=trade)
        closed = closed.filter(Q(closed_at__gt=at) | Q(later, closed_at=at))
    closed.delete()
    booked = booked.select_related("instrument").only(*_FOLDED)
    every = in_order([*map(execution, booked), *new])
    newer = [one for one in every if newest is None or one.key > newest]
    counting = effective(newer, amendments_of(order, newer, amendments))
    return fold(start, counting, multiplier=order.instrument.multiplier)


def _folded(position: Position) -> Folded:
    newest = None
    if position.folded_at is not None:
        sequence, trade = int(position.folded_sequence), position.folded_trade_id
        newest = FoldKey(position.folded_at, sequence, trade)
    now = Point(
        position.holding,
        newest,
        position.closed_pnl,
        position.folded_count,
        position.folded_date,
        position.opening,
        position.charged_elsewhere,
    )
    return Folded(now, tuple(map(_read_point, json.loads(position.fold_points))))


def _unfold(position: Position, folded: Folded, *, now: datetime) -> None:
    at = folded.now
    position.quantity, position.cost, position.realized_pnl, position.commission = _amounts(at.held)
    newest = at.newest or (None, 0, "")
    position.folded_at, position.folded_sequence, position.folded_trade_id = newest
    position.closed_pnl, position.folded_count = at.closed_pnl, at.count
    position.folded_date = at.day
    (
        position.opening_quantity,
        position.opening_cost,
        position.opening_realized_pnl,
        position.opening_commission,
    ) = _amounts(at.opening)
    position.other_commissions = json.dumps(_texts(at.elsewhere))
    position.fold_points = json.dumps([_write_point(point) for point in folded.points])
    position.updated_at = now


def _amounts(held: Holding) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return held.quantity, held.cost, held.realized_pnl, held.commission


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: decimal_text(amount) for name, amount in amounts.items()}


def _write_point(point: Point) -> dict[str, Any]:
    at, sequence, trade = point.newest or (None, 0, "")
    return {
        "count": point.count,
        "newest": None if at is None else [at.isoformat(), sequence, trade],
        "held": [*map(decimal_text, _amounts(point.held))],
        "closed_pnl": decimal_text(point.closed_pnl),
        "day": None if point.day is None else point.day.isoformat(),
        "opening": [*map(decimal_text, _amounts(point.opening))],
        "elsewhere": _texts(point.elsewhere),
    }


def _read_point(values: Mapping[str, Any]) -> Point:
    newest = None
    if values["newest"] is not None:
        at, sequence, trade = values["newest"]
        newest = FoldKey(datetime.fromisoformat(at), sequence, trade)
    day = values["day"]
    return Point(
        Holding(*map(Decimal, values["held"])),
        newest,
        Decimal(values["closed_pnl"]),
        values["count"],
        None if day is None else date.fromisoformat(day),
        Holding(*map(Decimal, values["opening"])),
        {name: Decimal(text) for name, text in values["elsewhere"].items()},
    )


_FOLDED = (
    "traded_at",
    "sequence",
    "venue_trade_id",
    "side",
    "quantity",
    "price",
    "commission",
    "commission_currency",
    "trading_date",
    "instrument__currency",
)
