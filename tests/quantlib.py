"""QuantLib as the judge of our Greeks."""

import math

import QuantLib as ql  # noqa: N813 as its own examples name it

from portfolio.black76 import DAYS, POINT


def greeks(*, forward, strike, years, volatility, rate, sign):
    """Return delta, gamma, vega, theta and rho of one option in our units, by QuantLib."""
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
    discount = math.exp(-rate * years)
    black = ql.BlackCalculator(payoff, forward, volatility * math.sqrt(years), discount)
    price, gamma = black.value(), black.gammaForward()
    theta = rate * price - 0.5 * gamma * (forward * volatility) ** 2
    return {
        "delta": black.deltaForward(),
        "gamma": gamma,
        "vega": black.vega(years) * POINT,
        "theta": theta / DAYS,
        "rho": -years * price * POINT,
    }
