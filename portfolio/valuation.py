"""What options are worth now: the forward of each expiry, each option's volatility, its Greeks.

The forward of an expiry is the mark of a future of that expiry; else it follows from put-call
parity at the strike where call and put are nearest; else from spot and rate. An option's volatility
is implied by its own mid; else it is that of the other right at its strike; else it is read off the
smile of its expiry (linear in strike, flat beyond). What has neither is not valued, and says so.
From its expiry on an option has no volatility: it is its intrinsic value, at the forward.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from portfolio import black76
from portfolio.black76 import Greeks
from portfolio.implied import implied_volatility

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class ForwardSource(IntEnum):
    """Where a forward comes from."""

    NONE = 0
    FUTURE = 1
    PARITY = 2
    SPOT = 3


class VolatilitySource(IntEnum):
    """Where a volatility comes from."""

    NONE = 0
    QUOTE = 1
    OTHER_RIGHT = 2
    SMILE = 3


@dataclass(frozen=True, slots=True)
class Contracts:
    """Options, as arrays of one length, in the order they were given.

    `expiry` numbers the pairs of underlying and cut-off; `other` is the option of the other right
    at the same strike, -1 where there is none; `by_expiry` are the options of each expiry in the
    order of their strikes, `calls` those of them that are calls and have an `other`.
    """

    strike: Array
    sign: Array
    expiry: Index
    other: Index
    by_expiry: tuple[Index, ...]
    calls: tuple[Index, ...]


class Valued(NamedTuple):
    """What came of it; NaN where something is not known. Forwards are per expiry."""

    greeks: Greeks
    forward: Array
    forward_source: NDArray[np.int8]
    forward_at: Index  # the call of the pair that parity was taken from, else -1
    volatility: Array
    volatility_source: NDArray[np.int8]


def contracts(strike: Sequence[float], sign: Sequence[float], expiry: Sequence[int]) -> Contracts:
    """Return options with all that does not change while they live.

    `sign` is 1.0 for calls and -1.0 for puts; `expiry` numbers count from 0.
    """
    strikes, signs = np.asarray(strike, float), np.asarray(sign, float)
    expiries = np.asarray(expiry, np.intp)
    seen: dict[tuple[int, float, float], int] = {}
    for i, key in enumerate(zip(expiry, strike, sign, strict=True)):
        seen.setdefault(key, i)
    other = np.array(
        [seen.get((e, k, -s), -1) for e, k, s in zip(expiry, strike, sign, strict=True)], np.intp
    )
    order = np.lexsort((strikes, expiries))
    bounds = np.searchsorted(expiries[order], np.arange(expiries.max(initial=-1) + 2))
    by_expiry = tuple(order[a:b] for a, b in itertools.pairwise(bounds))
    calls = tuple(own[(signs[own] > 0) & (other[own] >= 0)] for own in by_expiry)
    return Contracts(strikes, signs, expiries, other, by_expiry, calls)


def value(
    options: Contracts,
    *,
    mid: Array,
    future: Array,
    spot: Array,
    years: Array,
    rate: Array,
) -> Valued:
    """Return what options are worth, per unit of the underlying.

    `mid` is each option's, NaN where it has no two-sided quote; `future` and `spot` are marks per
    expiry, NaN where there is none; `years` and `rate` are per expiry too.
    """
    forward, source, at = _forwards(
        options, mid, future=future, spot=spot, growth=np.exp(rate * years)
    )
    own_forward, own_years = forward[options.expiry], years[options.expiry]
    own_rate = rate[options.expiry]
    volatility = implied_volatility(
        mid, own_forward, options.strike, years=own_years, rate=own_rate, sign=options.sign
    )
    volatility, volatility_source = _fill(options, volatility)
    usable = np.where(own_years > 0.0, volatility, 0.0)
    greeks = black76.greeks(
        own_forward,
        options.strike,
        years=np.maximum(own_years, 0.0),
        volatility=usable,
        rate=own_rate,
        sign=options.sign,
    )
    return Valued(greeks, forward, source, at, volatility, volatility_source)


def _forwards(
    options: Contracts, mid: Array, *, future: Array, spot: Array, growth: Array
) -> tuple[Array, NDArray[np.int8], Index]:
    forward = np.where(np.isnan(future), spot * growth, future)
    source = np.where(np.isnan(future), ForwardSource.SPOT, ForwardSource.FUTURE).astype(np.int8)
    at = np.full(len(future), -1, np.intp)
    for expiry in np.flatnonzero(np.isnan(future)):
        calls = options.calls[expiry]
        apart = mid[calls] - mid[options.other[calls]]
        if not calls.size or np.isnan(apart).all():
            continue
        nearest = np.nanargmin(np.abs(apart))
        implied = options.strike[calls[nearest]] + growth[expiry] * apart[nearest]
        if implied > 0.0:
            forward[expiry], source[expiry] = implied, ForwardSource.PARITY
            at[expiry] = calls[nearest]
    source[np.isnan(forward)] = ForwardSource.NONE
    return forward, source, at


def _fill(options: Contracts, volatility: Array) -> tuple[Array, NDArray[np.int8]]:
    """Give options without a volatility of their own that of the other right, or the smile's."""
    source = np.where(np.isnan(volatility), VolatilitySource.NONE, VolatilitySource.QUOTE)
    source = source.astype(np.int8)
    if not (missing := np.isnan(volatility)).any():
        return volatility, source
    found = volatility.copy()
    take = missing & (options.other >= 0)
    found[take] = volatility[options.other[take]]
    source[take & ~np.isnan(found)] = VolatilitySource.OTHER_RIGHT
    for own in options.by_expiry:
        known = own[~np.isnan(found[own])]
        blank = own[np.isnan(found[own])]
        if known.size and blank.size:
            found[blank] = np.interp(options.strike[blank], options.strike[known], found[known])
            source[blank] = VolatilitySource.SMILE
    return found, source
