"""The SPX chain of 2015-12-22 as recorded with its own volatilities and Greeks.

They were made with spot 2038.97 and no dividends, a rate of 1 %, and time from 15:15 in Chicago to
the midnight before the expiry date, in years of 365 days; both rights of a strike were given the
volatility of the one out of the money, and delta is per 1.0 of the spot. With that in mind ours
agree. Reads ../shared/data, and is skipped where that is absent.
"""

import csv
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from portfolio import black76, valuation
from portfolio.implied import implied_volatility

CHAIN = Path(__file__).resolve().parents[3] / "shared/data/options/spx_chain_greeks_2015-12-22.csv"
SPOT, RATE = 2038.97, 0.01
RECORDED = date(2015, 12, 22)
HOURS_LESS = 15.25  # of its day had passed

pytestmark = pytest.mark.skipif(not CHAIN.exists(), reason="needs ../shared/data")


@pytest.fixture(scope="module")
def chain():
    """Return the chain in columns, with what it was made with."""
    with CHAIN.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("strike", "close", "implied_volatility", "delta", "gamma", "vega", "theta", "rho")
    columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    days = [(date.fromisoformat(row["expiry"]) - RECORDED).days for row in rows]
    years = (np.array(days) - HOURS_LESS / 24) / 365
    sign = np.array([1.0 if row["right"] == "C" else -1.0 for row in rows])
    forward = SPOT * np.exp(RATE * years)
    expiry = [row["expiry"] for row in rows]
    return columns | {"years": years, "sign": sign, "forward": forward, "expiry": expiry}


def test_greeks_agree_at_the_recorded_volatility(chain):
    ours = black76.greeks(
        chain["forward"],
        chain["strike"],
        years=chain["years"],
        volatility=chain["implied_volatility"],
        rate=RATE,
        sign=chain["sign"],
    )

    apart = np.abs(ours.delta * np.exp(RATE * chain["years"]) - chain["delta"])
    # one row was made with another volatility than it shows: a put of 2450, far in the money
    assert [(chain["strike"][i], chain["sign"][i]) for i in np.flatnonzero(apart > 1e-7)] == [
        (2450, -1)
    ]
    assert np.delete(apart, apart.argmax()).max() < 1e-7
    steady = apart < 1e-7
    assert np.abs(ours.vega - chain["vega"])[steady].max() < 1e-6
    # gamma per 1.0 of the spot is exp(2rT) times that per 1.0 of the forward
    gamma = ours.gamma * np.exp(2 * RATE * chain["years"])
    assert np.abs(gamma - chain["gamma"])[steady].max() < 1e-7


def test_volatilities_agree_where_the_close_has_one(chain):
    ours = implied_volatility(
        chain["close"],
        chain["forward"],
        chain["strike"],
        years=chain["years"],
        rate=RATE,
        sign=chain["sign"],
    )

    out_of_the_money = chain["sign"] * (chain["strike"] - chain["forward"]) > 0
    apart = np.abs(ours - chain["implied_volatility"])
    assert out_of_the_money.sum() == 115
    # theirs is of a quote near the close: at most an eighth of a volatility point apart
    assert apart[out_of_the_money].max() < 0.00125
    assert (apart[out_of_the_money] < 0.0002).sum() == 95
    # in the money a price below the value that no dividends would give has no volatility
    assert np.isnan(ours[~out_of_the_money]).sum() == 61


def test_the_forward_that_parity_gives_is_below_theirs_by_the_dividends(chain):
    numbers = {name: n for n, name in enumerate(dict.fromkeys(chain["expiry"]))}
    expiry = [numbers[name] for name in chain["expiry"]]
    contracts = valuation.contracts(list(chain["strike"]), list(chain["sign"]), expiry)
    years = np.array([chain["years"][expiry.index(n)] for n in range(len(numbers))])
    nothing = np.full(len(numbers), math.nan)
    found = valuation.value(
        contracts,
        mid=chain["close"],
        future=nothing,
        spot=nothing,
        years=years,
        rate=np.full(len(numbers), RATE),
    )

    paired = found.forward_source == valuation.ForwardSource.PARITY
    assert paired.sum() == 5  # the others have no strike with both rights
    dividend_yield = np.log(SPOT / found.forward[paired]) / years[paired] + RATE
    assert dividend_yield.min() > 0
    assert 0.018 < np.median(dividend_yield) < 0.024  # as the index then paid
    # with it every option of those expiries has a volatility, in the money too
    theirs = np.isin(expiry, np.flatnonzero(paired))
    assert not np.isnan(found.volatility[theirs]).any()
