"""Where a group stands and what it does next: decided here, from its legs alone; done elsewhere.

A group goes in by stages, each leg's order released when the stage before it is filled. Once a leg
has ended unfilled, or its time is over, whatever still works is cancelled, and when all has ended
the policy decides: KEEP what is filled, or UNWIND it. A group that is filled or kept is CLOSED once
its legs hold nothing any more, whoever closed them. An unwinding closes short legs before the
long ones that protect them, and does not end while something is held: a leg whose closing orders
close nothing is left alone for 1, 2, 4, ... at most 60 seconds between two of them, and people are
alerted at each step of `ESCALATES_AFTER`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from brokers.contract import Side
from orders.group_states import GroupStatus, OnLegFailure
from orders.lifecycle import TERMINAL, OrderStatus

ZERO = Decimal(0)
LONGEST_PAUSE = timedelta(seconds=60)
#: When people are alerted that an unwinding goes on; then every hour.
ESCALATES_AFTER = (timedelta(seconds=30), timedelta(minutes=5), timedelta(minutes=30))
ESCALATES_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegState:
    """One leg as it stands. `held` is what it holds now, whoever has closed the rest; positive.

    `side` is that of what it holds, and of its entry while it holds nothing.
    `closing`: an order to close it works. `waits`: its order is not released yet. `turned_away` is
    how many orders to close it have ended in a row and closed nothing, the last of them at
    `turned_away_at`.
    """

    number: int
    side: Side
    stage: int
    status: OrderStatus
    waits: bool
    filled: Decimal
    held: Decimal
    closing: bool
    turned_away: int = 0
    turned_away_at: datetime | None = None

    def rests(self, *, now: datetime) -> bool:
        """Tell whether it is left alone for a while, since what would close it closed nothing."""
        return self.turned_away_at is not None and now < self.turned_away_at + pause(
            self.turned_away
        )

    @property
    def ended(self) -> bool:
        """Tell whether its entry can fill no more."""
        return self.status in TERMINAL

    @property
    def fell_short(self) -> bool:
        """Tell whether its entry ended without being filled."""
        return self.ended and self.status is not OrderStatus.FILLED


def pause(turned_away: int) -> timedelta:
    """Return how long a leg is left alone after so many closing orders that closed nothing."""
    if not turned_away:
        return timedelta(0)
    doublings = min(turned_away - 1, 6)
    return min(timedelta(seconds=2**doublings), LONGEST_PAUSE)


def escalations(elapsed: timedelta) -> int:
    """Return how many times people are to have been alerted of an unwinding by now."""
    steps = sum(elapsed >= step for step in ESCALATES_AFTER)
    return steps + max((elapsed - ESCALATES_AFTER[-1]) // ESCALATES_EVERY, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do: the status to show, legs to release, whether to cancel, legs to close.

    `settled`: nothing more will come of it unless somebody asks.
    """

    status: GroupStatus
    release: tuple[int, ...] = ()
    cancel: bool = False
    close: tuple[int, ...] = ()
    settled: bool = False


def next_step(
    legs: Sequence[LegState], *, policy: OnLegFailure, giving_up: bool, exiting: bool
) -> Step:
    """Return a group's next step.

    `giving_up`: a leg's time is over, or a leg has fallen short before; `exiting`: somebody asked
    for the whole to be closed.
    """
    filled = any(leg.filled for leg in legs)
    standing = GroupStatus.PARTIALLY_FILLED if filled else GroupStatus.CREATED
    whole = all(leg.status is OrderStatus.FILLED for leg in legs)
    closed = not any(leg.held or leg.closing for leg in legs)
    if whole and not exiting:
        return Step(status=GroupStatus.CLOSED if closed else GroupStatus.FILLED, settled=True)
    if exiting or giving_up or any(leg.fell_short for leg in legs):
        if not all(leg.ended for leg in legs):
            return Step(status=GroupStatus.UNWINDING if exiting else standing, cancel=True)
        if not filled:
            rejected = any(leg.status in _TURNED_AWAY for leg in legs)
            ended = GroupStatus.REJECTED if rejected else GroupStatus.CANCELLED
            return Step(status=ended, settled=True)
        if policy is OnLegFailure.UNWIND or exiting:
            return _unwind(legs)
        return Step(status=GroupStatus.CLOSED if closed else standing, settled=True)
    stage = min(leg.stage for leg in legs if leg.status is not OrderStatus.FILLED)
    due = tuple(leg.number for leg in legs if leg.stage == stage and leg.waits)
    return Step(status=standing, release=due)


_TURNED_AWAY = frozenset({OrderStatus.REJECTED, OrderStatus.FAILED})


def _unwind(legs: Sequence[LegState]) -> Step:
    left = [leg for leg in legs if leg.held > ZERO]
    if not left and not any(leg.closing for leg in legs):
        return Step(status=GroupStatus.CLOSED, settled=True)
    short = [leg for leg in legs if leg.side is Side.SELL and (leg.held or leg.closing)]
    now = [leg for leg in (short or left) if leg.held and not leg.closing]
    return Step(status=GroupStatus.UNWINDING, close=tuple(leg.number for leg in now))
