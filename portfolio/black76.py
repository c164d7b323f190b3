"""Black-76: price and Greeks of European options on a forward, of one option or of many at once.

Units, all per unit of the underlying, before quantity and multiplier: `delta` and `gamma` per 1.0
of the forward; `vega` per volatility point (0.01); `theta` per calendar day, negative where time
costs the holder; `rho` per percentage point of the rate, the forward held fixed. Time is in years
of 365 days, rates are continuous, volatilities 1.0 for 100 %.

Source: F. Black, The pricing of commodity contracts, Journal of Financial Economics 3 (1976).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
POINT = 0.01
DAYS = 365.0
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_ROOT_HALF = math.sqrt(0.5)
#: Stands for no spread at all: what it is divided into ends far out in the tails.
_NONE = 1e-150


class Greeks(NamedTuple):
    """What options are worth and react to: arrays of one shape."""

    price: Array
    delta: Array
    gamma: Array
    vega: Array
    theta: Array
    rho: Array


class Greek(NamedTuple):
    """What one option is worth and reacts to."""

    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    rho: float


def greeks(
    forward: Array,
    strike: Array,
    *,
    years: Array,
    volatility: Array,
    rate: Array | float,
    sign: Array,
) -> Greeks:
    """Return the Greeks of many options; all arguments have one shape, `rate` may be one number.

    `sign` is 1.0 for calls and -1.0 for puts; forwards and strikes are positive, volatilities not
    negative. Without time or volatility an option is its discounted intrinsic value: delta in the
    money, a half of it at the money, and no gamma or vega. From its expiry on (no time, or less) it
    has no theta or rho either.
    """
    years = np.maximum(years, 0.0)
    root = np.sqrt(years)
    spread = volatility * root
    uncertain = spread > 0.0
    every = bool(uncertain.all())
    safe = spread if every else np.where(uncertain, spread, _NONE)
    d1 = np.log(forward / strike) / safe + 0.5 * spread
    discount = np.exp(-rate * years)
    signed = discount * sign
    delta = signed * ndtr(sign * d1)
    price = forward * delta - strike * signed * ndtr(sign * (d1 - spread))
    density = _DENSITY * discount * np.exp(-0.5 * d1 * d1)
    if not every:
        density *= uncertain
    gamma = density / (forward * safe)
    slope = forward * density
    decay = slope * volatility / (2.0 * (root if every else np.where(uncertain, root, 1.0)))
    return Greeks(
        price,
        delta,
        gamma,
        slope * root * POINT,
        np.where(years > 0.0, (rate * price - decay) / DAYS, 0.0),
        0.0 - POINT * years * price,
    )


def greeks_of(
    forward: float, strike: float, *, years: float, volatility: float, rate: float, sign: float
) -> Greek:
    """Return the Greeks of one option: as `greeks`, without the cost of arrays."""
    years = max(years, 0.0)
    root = math.sqrt(years)
    spread = volatility * root
    discount = math.exp(-rate * years)
    moneyness = math.log(forward / strike)
    if spread > 0.0:
        d1 = moneyness / spread + 0.5 * spread
        density = _DENSITY * discount * math.exp(-0.5 * d1 * d1)
        gamma, slope = density / (forward * spread), forward * density
        decay = slope * volatility / (2.0 * root)
    else:
        d1 = math.copysign(math.inf, moneyness) if moneyness else 0.0
        gamma = slope = decay = 0.0
    signed = discount * sign
    delta = signed * 0.5 * math.erfc(-sign * d1 * _ROOT_HALF)
    exercised = 0.5 * math.erfc(-sign * (d1 - spread) * _ROOT_HALF)
    price = forward * delta - strike * signed * exercised
    theta = (rate * price - decay) / DAYS if years > 0.0 else 0.0
    return Greek(price, delta, gamma, slope * root * POINT, theta, 0.0 - POINT * years * price)
