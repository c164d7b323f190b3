"""A position folded from its executions, in the venue's order: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from brokers.contract import FillKind, Side
from portfolio.holding import CONTEXT, Holding, apply_fill

NOTHING = Holding()
#: A late fill is folded again with those after it; two points, of which the older is at least this
#: many executions back, keep that short however many there are.
POINTS_APART, POINTS_KEPT = 25, 2


class FoldKey(NamedTuple):
    """The venue's order of executions: by time, then by its own sequence (`FillReport.place`)."""

    traded_at: datetime
    sequence: int
    venue_trade_id: str


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as a position sees it; `day` is its trading date.

    `commission` is in the instrument's currency, `elsewhere` what was charged in another, by name.
    """

    key: FoldKey
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    day: date
    elsewhere: Mapping[str, Decimal] = field(default_factory=dict)


def charged(
    commission: Decimal, currency: str, *, of: str
) -> tuple[Decimal, Mapping[str, Decimal]]:
    """Return a commission as what is in the currency `of`, and what is in another, by name.

    Amounts of two currencies are never added up.
    """
    if currency == of or not commission:
        return commission, {}
    return Decimal(0), {currency: commission}


def in_order(executions: Iterable[Execution]) -> list[Execution]:
    """Return executions in the venue's order; of a trade with oneself the buy comes first."""
    return sorted(executions, key=lambda one: (one.key, one.side))


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
    elsewhere: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Closed:
    """A trade that an execution has closed or turned round, and what it made, net."""

    key: FoldKey
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class Point:
    """A position after some of its executions: a fold can begin here.

    `newest` is the last of the `count` executions in it; `closed_pnl` the net PnL when it was last
    closed or turned round; `opening` what was held before the first execution of `day`, the newest
    one's; `elsewhere` the commissions in other currencies.
    """

    held: Holding = NOTHING
    newest: FoldKey | None = None
    closed_pnl: Decimal = Decimal(0)
    count: int = 0
    day: date | None = None
    opening: Holding = NOTHING
    elsewhere: Mapping[str, Decimal] = field(default_factory=dict)


START = Point()


@dataclass(frozen=True, slots=True)
class Folded:
    """A position as it is, and the points on the way that are kept, oldest first.

    `closed` are the trades closed on the way here.
    """

    now: Point = START
    points: tuple[Point, ...] = ()
    closed: tuple[Closed, ...] = ()


def fold(start: Folded, executions: Iterable[Execution], *, multiplier: Decimal) -> Folded:
    """Return the position after executions that are newer than all in it, in order."""
    at, points, closed = start.now, start.points, start.closed
    for one in executions:
        far = at.count - (points[-1].count if points else 0) >= POINTS_APART
        if far and at.newest != one.key:  # never between the two sides of one trade
            points = (*points, at)[-POINTS_KEPT:]
        held = apply_fill(
            at.held,
            side=one.side,
            quantity=one.quantity,
            price=one.price,
            commission=one.commission,
            multiplier=multiplier,
        )
        was, closed_pnl = at.held.quantity, at.closed_pnl
        if was and was * held.quantity <= 0:
            made = CONTEXT.subtract(held.net, closed_pnl)
            closed, closed_pnl = (*closed, Closed(one.key, made)), held.net
        day, opening = at.day, at.opening
        if day is None or one.day > day:
            day, opening = one.day, at.held
        elsewhere = _added(at.elsewhere, one.elsewhere)
        at = Point(held, one.key, closed_pnl, at.count + 1, day, opening, elsewhere)
    return Folded(at, points, closed)


def _added(sums: Mapping[str, Decimal], more: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    if not more:
        return sums
    return {**sums, **{name: sums.get(name, Decimal(0)) + more[name] for name in more}}


def before(folded: Folded, new: Sequence[Execution]) -> Folded:
    """Return the newest state that is older than all of `new`: `folded` where none is late."""
    oldest = min(execution.key for execution in new)
    if folded.now.newest is None or folded.now.newest < oldest:
        return folded
    older = [p for p in folded.points if p.newest is not None and p.newest < oldest]
    return Folded(older[-1], tuple(older[:-1])) if older else Folded()


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
            counting.append(
                replace(
                    one,
                    quantity=amended.quantity,
                    price=amended.price,
                    commission=amended.commission,
                    elsewhere=amended.elsewhere,
                )
            )
    return counting
