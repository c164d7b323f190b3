"""QuantLib as the judge of our Greeks."""

import math

import QuantLib as ql  # noqa: N813 as its own examples name it

from portfolio.black76 import DAYS, POINT, Greek


def greeks(*, forward, strike, years, volatility, rate, sign):
    """Return what one option is worth and reacts to, by QuantLib, in our units.

    Its own rho and theta are of other models' rates: these follow from its price and gamma.
    """
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
    discount = math.exp(-rate * years)
    black = ql.BlackCalculator(payoff, forward, volatility * math.sqrt(years), discount)
    price, gamma = black.value(), black.gammaForward()
    theta = rate * price - 0.5 * gamma * (forward * volatility) ** 2
    return Greek(
        price=price,
        delta=black.deltaForward(),
        gamma=gamma,
        vega=black.vega(years) * POINT,
        theta=theta / DAYS,
        rho=-years * price * POINT,
    )
