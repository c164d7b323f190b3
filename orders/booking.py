"""What a venue's report does to an order and its position: pure, in the venue's order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from brokers.contract import FillKind, OrderReport, Side, VenueStatus
from orders.lifecycle import OPEN, OrderStatus, heard
from portfolio.holding import Holding, apply_fill

NOTHING = Holding()


class FoldKey(NamedTuple):
    """The venue's order of executions in one position."""

    traded_at: datetime
    venue_trade_id: str


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as a position sees it."""

    key: FoldKey
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal


class Trade(NamedTuple):
    """What names a trade within one instrument of one connection."""

    venue_trade_id: str
    side: Side


@dataclass(frozen=True, slots=True)
class Amendment:
    """What became of a trade: nothing of it (BUST), or other terms (CORRECTION)."""

    kind: str
    quantity: Decimal
    price: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True)
class Closed:
    """A trade that an execution has closed or turned round, and what it made, net."""

    key: FoldKey
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class Folded:
    """A holding, the newest execution in it, and the last point at which nothing was held.

    `closed` are the trades closed on the way here, `closed_pnl` the net PnL at the last of them.
    """

    held: Holding = NOTHING
    newest: FoldKey | None = None
    flat: FoldKey | None = None
    flat_held: Holding = NOTHING
    closed: tuple[Closed, ...] = ()
    closed_pnl: Decimal = Decimal(0)


def fold(start: Folded, executions: Iterable[Execution], *, multiplier: Decimal) -> Folded:
    """Return the position after executions that are newer than all in it, in order."""
    folded = start
    for one in executions:
        held = apply_fill(
            folded.held,
            side=one.side,
            quantity=one.quantity,
            price=one.price,
            commission=one.commission,
            multiplier=multiplier,
        )
        closed, closed_pnl = folded.closed, folded.closed_pnl
        was = folded.held.quantity
        if was and was * held.quantity <= 0:
            net = held.realized_pnl - held.commission
            closed, closed_pnl = (*closed, Closed(one.key, net - closed_pnl)), net
        flat, flat_held = (folded.flat, folded.flat_held) if held.quantity else (one.key, held)
        folded = Folded(held, one.key, flat, flat_held, closed, closed_pnl)
    return folded


def effective(
    executions: Iterable[Execution], amendments: Mapping[Trade, Amendment]
) -> list[Execution]:
    """Return the executions as they now count; busted ones are left out."""
    counting = []
    for one in executions:
        amended = amendments.get(Trade(one.key.venue_trade_id, one.side))
        if amended is None:
            counting.append(one)
        elif amended.kind != FillKind.BUST:
            terms = (amended.quantity, amended.price, amended.commission)
            counting.append(Execution(one.key, one.side, *terms))
    return counting


def refold_from(folded: Folded, new: Sequence[Execution]) -> FoldKey | bool | None:
    """Return where a refold must begin: False for none, a key for after it, None for the start."""
    oldest = min(execution.key for execution in new)
    if folded.newest is None or oldest > folded.newest:
        return False
    if folded.flat is not None and oldest > folded.flat:
        return folded.flat
    return None


def status_after(
    current: OrderStatus,
    *,
    said: VenueStatus,
    quantity: Decimal,
    filled: Decimal,
) -> OrderStatus:
    """Return an order's status after a report, `filled` being what is booked by now.

    FILLED comes from fills alone: a venue that says so before its executions are known is asked.
    """
    if filled >= quantity:
        return heard(current, OrderStatus.FILLED)
    if said is VenueStatus.FILLED:
        said = VenueStatus.PARTIALLY_FILLED if filled else VenueStatus.ACCEPTED
    if said is VenueStatus.ACCEPTED and filled:
        said = VenueStatus.PARTIALLY_FILLED
    return heard(current, OrderStatus(said.value))


def owes_fills(report: OrderReport, *, filled: Decimal) -> bool:
    """Tell whether the venue has filled more than it has told us the executions of."""
    return report.filled_quantity > filled


def is_open(status: str) -> bool:
    """Tell whether an order of this status can still work."""
    return OrderStatus(status) in OPEN
