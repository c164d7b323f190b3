"""What a combination of legs is worth at expiry: worst loss, best profit, breakevens.

At expiry a leg is worth its intrinsic value, so what the whole is worth is linear in the price of
the underlying between strikes: its extremes lie at zero, at a strike, or at infinity. Legs on
several underlyings are added up, each at its own worst.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

ZERO = Decimal(0)


class MixedExpiries(ValueError):
    """Options of one underlying that expire at different times have no common expiry to look at."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: `quantity` is signed (short is negative), `price` per unit of the underlying.

    `strike` None is the underlying itself, or a future on it; `sign` is +1 for a call, -1 for a put
    and 0 for the underlying. `expiry` is what options of one expiry have in common.
    """

    underlying: str
    quantity: Decimal
    multiplier: Decimal
    price: Decimal
    sign: int = 0
    strike: Decimal | None = None
    expiry: date | datetime | None = None

    @property
    def size(self) -> Decimal:
        """Return the signed units of the underlying."""
        return self.quantity * self.multiplier

    def at(self, spot: Decimal) -> Decimal:
        """Return what it has made if the underlying ends at `spot`."""
        worth = spot if self.strike is None else max(self.sign * (spot - self.strike), ZERO)
        return self.size * (worth - self.price)

    @property
    def slope_at_infinity(self) -> Decimal:
        """Return what it gains per 1.0 that the underlying rises, far above every strike."""
        return ZERO if self.sign < 0 else self.size


@dataclass(frozen=True, slots=True)
class Payoff:
    """Extremes at expiry, money; None is without bound. A loss is positive.

    `net_debit` is what the legs cost together, negative for a credit.
    """

    net_debit: Decimal
    max_loss: Decimal | None
    max_profit: Decimal | None
    breakevens: tuple[Decimal, ...]


def payoff(legs: Sequence[Leg]) -> Payoff:
    """Return the extremes of a combination at expiry, before commission.

    Breakevens are given where there is one underlying.

    :raises MixedExpiries: options of one underlying expire at different times
    """
    by_underlying: dict[str, list[Leg]] = {}
    for leg in legs:
        by_underlying.setdefault(leg.underlying, []).append(leg)
    losses, profits = [], []
    for own in by_underlying.values():
        if len({leg.expiry for leg in own if leg.strike is not None}) > 1:
            raise MixedExpiries(own[0].underlying)
        worst, best = _extremes(own)
        losses.append(worst)
        profits.append(best)
    return Payoff(
        net_debit=sum((leg.size * leg.price for leg in legs), ZERO),
        max_loss=_total(losses),
        max_profit=_total(profits),
        breakevens=_breakevens(legs) if len(by_underlying) == 1 else (),
    )


def _extremes(legs: Sequence[Leg]) -> tuple[Decimal | None, Decimal | None]:
    values = [_made(legs, spot) for spot in _corners(legs)]
    slope = sum((leg.slope_at_infinity for leg in legs), ZERO)
    worst = None if slope < 0 else max(-min(values), ZERO)
    best = None if slope > 0 else max(*values, ZERO)
    return worst, best


def _corners(legs: Iterable[Leg]) -> list[Decimal]:
    return sorted({ZERO, *(leg.strike for leg in legs if leg.strike is not None)})


def _made(legs: Iterable[Leg], spot: Decimal) -> Decimal:
    return sum((leg.at(spot) for leg in legs), ZERO)


def _breakevens(legs: Sequence[Leg]) -> tuple[Decimal, ...]:
    """Return the prices of the underlying at which nothing is made or lost, to 10 places."""
    corners = _corners(legs)
    found = [corner for corner in corners if _made(legs, corner) == 0]
    for low, high in itertools.pairwise(corners):
        at_low, at_high = _made(legs, low), _made(legs, high)
        if at_low * at_high < 0:
            found.append(low + (high - low) * at_low / (at_low - at_high))
    slope = sum((leg.slope_at_infinity for leg in legs), ZERO)
    at_last = _made(legs, corners[-1])
    if slope * at_last < 0:
        found.append(corners[-1] - at_last / slope)
    return tuple(sorted(round(price, 10) for price in found))


def _total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None
