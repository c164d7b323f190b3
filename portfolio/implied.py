"""Implied volatility: which volatility gives a Black-76 price.

Solved on the logarithm of the price of the out-of-the-money side, scaled by the root of forward and
strike (the "normalised Black function" of P. Jaeckel, Let's be rational, Wilmott 2015), by Halley
steps from the inflection point. In the logarithm a price of 1e-200 is as good as one of 1.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

Array = NDArray[np.float64]
STEPS = 3  # for all; what is not done then takes more
MORE_STEPS = 60
CLOSE = 1e-5  # a step this small, relative, was the last: the next is its cube
_ROOT_HALF = math.sqrt(0.5)
_RATIO = math.sqrt(2.0 / math.pi)
_LOG_HALF = math.log(0.5)


def implied_volatility(
    price: Array, forward: Array, strike: Array, *, years: Array, rate: Array | float, sign: Array
) -> Array:
    """Return the volatility of each option's price; NaN where no volatility gives it.

    Arguments are as those of `black76.greeks`, prices discounted. A price at or below the intrinsic
    value, or at or above what the option can be worth at most, has no volatility.
    """
    with np.errstate(all="ignore"):
        undiscounted = price * np.exp(rate * years)
        moneyness = np.log(forward / strike)
        intrinsic = np.maximum(sign * (forward - strike), 0.0)
        scaled = (undiscounted - intrinsic) / np.sqrt(forward * strike)
        x = -np.abs(moneyness)
        attainable = (scaled > 0.0) & (scaled < np.exp(0.5 * x)) & (years > 0.0)
        spread = _spread(np.where(attainable, scaled, np.nan), x)
        return spread / np.sqrt(years)


def _spread(scaled: Array, x: Array) -> Array:
    """Return volatility times the root of time; `x` is minus the absolute log-moneyness."""
    target = np.log(scaled)
    spread = np.maximum(np.sqrt(-2.0 * x), scaled * math.sqrt(2.0 * math.pi))
    for _ in range(STEPS):
        spread, step = _halley(spread, target, x)
    rest = np.flatnonzero(np.abs(step) > CLOSE * spread)
    for _ in range(MORE_STEPS):
        if not rest.size:
            return spread
        spread[rest], step = _halley(spread[rest], target[rest], x[rest])
        rest = rest[np.abs(step) > CLOSE * spread[rest]]
    spread[rest] = np.nan
    return spread


def _halley(spread: Array, target: Array, x: Array) -> tuple[Array, Array]:
    """Return a better spread, and by how much it differs."""
    h, t = x / spread, 0.5 * spread
    difference = erfcx(-_ROOT_HALF * (h + t)) - erfcx(-_ROOT_HALF * (h - t))
    value = _LOG_HALF - 0.5 * (h * h + t * t) + np.log(difference)
    slope = _RATIO / difference
    newton = (value - target) / slope
    curve = h * h / spread - 0.5 * t - slope
    step = newton / np.maximum(1.0 - 0.5 * newton * curve, 0.5)
    better = np.maximum(spread - step, 0.1 * spread)
    return better, better - spread
