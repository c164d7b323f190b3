"""Folding fills into a locked position, from its newest fill, its last flat point, or the start."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from brokers.contract import Side
from orders.amendments import FillAmendment
from orders.booking import (
    Amendment,
    Closed,
    Execution,
    Folded,
    FoldKey,
    Trade,
    effective,
    fold,
    refold_from,
)
from orders.models import Fill, Order
from portfolio.holding import Holding
from portfolio.models import ClosedTrade, Position


def fold_into(
    position: Position, order: Order, fills: Sequence[Fill], *, now: datetime
) -> Sequence[Closed]:
    """Fold new fills into a locked position; one that is older than the newest refolds it.

    Return the trades they closed; those that a refold makes anew are forgotten first.
    """
    folded = _folded(position)
    new = [execution(fill) for fill in fills]
    after = refold_from(folded, new)
    if after is False:
        result = fold(folded, new, multiplier=order.instrument.multiplier)
    else:
        start = Folded() if after is None else _flat_start(folded)
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
    mine = [*map(execution, Fill.objects.filter(order=order)), *new]
    order.total(mine, effective(mine, amendments_of(order, amendments)))
    return result.closed


def amendments_of(order: Order, new: Sequence[FillAmendment] = ()) -> dict[Trade, Amendment]:
    """Return the amendment that counts of each amended trade in the order's instrument."""
    booked = FillAmendment.objects.filter(
        connection=order.connection_id, instrument=order.instrument_id
    )
    counting: dict[Trade, Amendment] = {}
    for row in sorted([*booked, *new], key=lambda row: row.revision):
        trade = Trade(row.venue_trade_id, Side(row.side))
        counting[trade] = Amendment(row.kind, row.quantity, row.price, row.commission)
    return counting


def execution(fill: Fill) -> Execution:
    """Return a fill as a position sees it."""
    key = FoldKey(fill.traded_at, fill.venue_trade_id)
    return Execution(key, Side(fill.side), fill.quantity, fill.price, fill.commission)


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
    if start.newest is not None:
        booked = booked.filter(traded_at__gte=start.newest.traded_at)
        at, trade = start.newest
        closed = closed.filter(Q(closed_at__gt=at) | Q(closed_at=at, venue_trade_id__gt=trade))
    closed.delete()
    every = sorted([*map(execution, booked), *new], key=lambda one: one.key)
    newer = [one for one in every if start.newest is None or one.key > start.newest]
    counting = effective(newer, amendments_of(order, amendments))
    return fold(start, counting, multiplier=order.instrument.multiplier)


def _folded(position: Position) -> Folded:
    newest = flat = None
    if position.folded_at is not None:
        newest = FoldKey(position.folded_at, position.folded_trade_id)
    if position.flat_at is not None:
        flat = FoldKey(position.flat_at, position.flat_trade_id)
    flat_held = Holding(
        realized_pnl=position.flat_realized_pnl, commission=position.flat_commission
    )
    return Folded(position.holding, newest, flat, flat_held, (), position.closed_pnl)


def _flat_start(folded: Folded) -> Folded:
    held = folded.flat_held
    net = held.realized_pnl - held.commission
    return Folded(held, folded.flat, folded.flat, held, (), net)


def _unfold(position: Position, folded: Folded, *, now: datetime) -> None:
    held = folded.held
    position.quantity, position.cost = held.quantity, held.cost
    position.realized_pnl, position.commission = held.realized_pnl, held.commission
    position.folded_at, position.folded_trade_id = folded.newest or (None, "")
    position.flat_at, position.flat_trade_id = folded.flat or (None, "")
    position.flat_realized_pnl = folded.flat_held.realized_pnl
    position.flat_commission = folded.flat_held.commission
    position.closed_pnl = folded.closed_pnl
    position.updated_at = now
