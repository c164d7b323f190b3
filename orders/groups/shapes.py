"""What the named combinations look like: which legs make one, and in which order they are sent.

Legs that protect (bought ones) go first; those that they protect wait until they are filled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from brokers.contract import Side
from brokers.instruments.symbols import Right
from orders.group_states import GroupType

MOST_LEGS = 8
CALL, PUT = Right.CALL, Right.PUT


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeLeg:
    """A leg as far as its group's shape is concerned; no strike: it is no option."""

    symbol: str
    side: Side
    quantity: Decimal
    underlying: str
    expires_at: datetime | None = None
    strike: Decimal | None = None
    right: Right | None = None


def problem(kind: GroupType, legs: Sequence[ShapeLeg]) -> str | None:
    """Return why these legs are no group of that type, or None."""
    if not 2 <= len(legs) <= MOST_LEGS:
        return f"a group has 2 to {MOST_LEGS} legs"
    if len({leg.symbol for leg in legs}) < len(legs):
        return "each leg has a symbol of its own"
    if kind is GroupType.CUSTOM:
        return None
    if any(leg.strike is None for leg in legs):
        return f"every leg of a {kind} is an option"
    if len({leg.underlying for leg in legs}) > 1:
        return f"the legs of a {kind} have one underlying"
    if len({leg.expires_at for leg in legs}) > 1:
        return f"the legs of a {kind} have one expiry"
    if len({leg.quantity for leg in legs}) > 1:
        return f"the legs of a {kind} have one quantity"
    return _PROBLEMS[kind](sorted(legs, key=_by_strike))


def stages(sides: Sequence[Side]) -> list[int]:
    """Return the stage of each leg: 0 is sent at once, 1 when all of stage 0 is filled."""
    mixed = len(set(sides)) > 1
    return [int(mixed and side is Side.SELL) for side in sides]


def _by_strike(leg: ShapeLeg) -> tuple[Decimal, bool]:
    return leg.strike or Decimal(0), leg.right is CALL


def _spread(legs: Sequence[ShapeLeg]) -> str | None:
    if len(legs) != 2 or legs[0].right is not legs[1].right:
        return "a SPREAD has two options of one right"
    if legs[0].strike == legs[1].strike:
        return "a SPREAD has two strikes"
    if legs[0].side is legs[1].side:
        return "a SPREAD buys one strike and sells the other"
    return None


def _straddle(legs: Sequence[ShapeLeg]) -> str | None:
    if len(legs) != 2 or {leg.right for leg in legs} != {CALL, PUT}:
        return "a STRADDLE has a call and a put"
    if legs[0].strike != legs[1].strike:
        return "a STRADDLE has one strike"
    return _one_side("STRADDLE", legs)


def _strangle(legs: Sequence[ShapeLeg]) -> str | None:
    if [leg.right for leg in legs] != [PUT, CALL] or legs[0].strike == legs[1].strike:
        return "a STRANGLE has a put, and a call at a higher strike"
    return _one_side("STRANGLE", legs)


def _iron_condor(legs: Sequence[ShapeLeg]) -> str | None:
    strikes = [leg.strike for leg in legs]
    if [leg.right for leg in legs] != [PUT, PUT, CALL, CALL] or len({*strikes[:2]}) < 2:
        return "an IRON_CONDOR has two puts, and two calls at strikes not below theirs"
    if strikes[2] == strikes[3]:
        return "an IRON_CONDOR has two strikes of calls"
    outer, inner = {legs[0].side, legs[3].side}, {legs[1].side, legs[2].side}
    if len(outer) > 1 or len(inner) > 1 or outer == inner:
        return "an IRON_CONDOR trades its outer strikes one way and its inner ones the other"
    return None


def _one_side(name: str, legs: Sequence[ShapeLeg]) -> str | None:
    return None if legs[0].side is legs[1].side else f"the legs of a {name} are of one side"


_PROBLEMS: Mapping[GroupType, Callable[[Sequence[ShapeLeg]], str | None]] = {
    GroupType.SPREAD: _spread,
    GroupType.STRADDLE: _straddle,
    GroupType.STRANGLE: _strangle,
    GroupType.IRON_CONDOR: _iron_condor,
}
