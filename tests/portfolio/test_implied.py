"""Implied volatility: there and back, far out of the money, and where there is none."""

import math

import numpy as np
import pytest

from portfolio.black76 import greeks
from portfolio.implied import implied_volatility

DRAW = np.random.default_rng(76)
COUNT = 100_000


def out_of_the_money(count):
    """Return random options of every moneyness, on their out-of-the-money side."""
    forward = np.full(count, 100.0)
    strike = 100.0 * np.exp(DRAW.uniform(-1.5, 1.5, count))
    rest = {
        "years": DRAW.uniform(0.01, 3, count),
        "rate": np.zeros(count),
        "sign": np.where(strike >= forward, 1.0, -1.0),
    }
    return (forward, strike), rest, DRAW.uniform(0.05, 1.5, count)


def test_the_volatility_that_made_a_price_is_found_again():
    prices, rest, volatility = out_of_the_money(COUNT)
    price = greeks(*prices, **rest, volatility=volatility).price
    liquid = price > 1e-2

    found = implied_volatility(price, *prices, **rest)

    assert np.abs(found - volatility)[liquid].max() < 1e-12


def test_far_out_of_the_money_it_is_as_good_as_the_price():
    prices, rest, volatility = out_of_the_money(COUNT)
    made = greeks(*prices, **rest, volatility=volatility)
    deep = (made.price > 1e-250) & (made.price < 1e-2)

    found = implied_volatility(made.price, *prices, **rest)

    # the price itself is known to some 1e-14 of the distribution's tail
    doubt = 1e-13 + 1e-14 * made.price[deep] / (100 * made.vega[deep])
    assert not np.isnan(found[deep]).any()
    assert (np.abs(found - volatility)[deep] / doubt).max() < 100


def of(price, *, years):
    """Return the volatility of a call at 90 on 100."""
    rest = {"years": np.array([years]), "rate": 0.0, "sign": np.array([1.0])}
    return implied_volatility(np.array([price]), np.array([100.0]), np.array([90.0]), **rest)[0]


@pytest.mark.parametrize(
    ("_case", "price"),
    [
        ("nothing", 0.0),
        ("below nothing", -1.0),
        ("at intrinsic value", 10.0),
        ("below it", 9.99),
        ("as much as the forward", 100.0),
        ("unknown", math.nan),
    ],
)
def test_a_price_that_no_volatility_gives_has_none(_case, price):
    assert np.isnan(of(price, years=0.5))


def test_an_option_that_has_expired_has_none():
    assert np.isnan(of(11.0, years=0.0))


def test_what_cannot_be_found_spoils_no_other():
    price = np.array([2.0, math.nan, -1.0, 2.0])
    four = {name: np.full(4, v) for name, v in {"years": 0.5, "rate": 0.0, "sign": 1.0}.items()}
    found = implied_volatility(price, np.full(4, 100.0), np.full(4, 105.0), **four)

    assert np.isnan(found).tolist() == [False, True, True, False]
    assert found[0] == found[3]
