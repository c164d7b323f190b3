"""G1 and G2: Greeks and implied volatility against what numpy and scipy allow, and QuantLib."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import QuantLib as ql  # noqa: N813 as its own examples name it
from py_lets_be_rational import lets_be_rational
from scipy.special import ndtr

from benchmarks import servers
from benchmarks.measure import Row, alternate
from portfolio import aggregation, valuation
from portfolio.black76 import greeks, greeks_of
from portfolio.implied import implied_volatility

Columns = dict[str, Any]
DRAW = np.random.default_rng(76)
SECONDS = 0.5
FEW = 5_000  # enough of the loops
LIQUID = 1e-4  # of the forward: what a quoted option is worth at least


def kernel(_directory: Path) -> list[Row]:
    """Measure G1."""
    servers.show("G1 Greeks")
    rows = []
    for count in (10_000, 1_000_000):
        made = _contracts(count)
        measured = alternate(_rate(greeks, made, count), _rate(_limit, made, count))
        what = f"Greeks of {count:,} contracts"
        floor = "numpy and ndtr alone"
        rows.append(Row("G1", what, "/s", floor, 0.7, 0.95, False, *measured))
    made = _contracts(10_000)
    measured = alternate(_rate(greeks, made, 10_000), _rate(_quantlib, made, 10_000))
    rows.append(
        Row("G1", "Greeks of 10,000 contracts", "/s", "QuantLib", 100, 250, False, *measured)
    )
    few = _contracts(1)
    one = {name: float(column[0]) for name, column in few.items()}
    measured = alternate(_rate(greeks_of, one, 1), _rate(_quantlib, few, 1))
    rows.append(Row("G1", "Greeks of one contract", "/s", "QuantLib", 1, 3, False, *measured))
    return [*rows, _portfolio_row()]


def _portfolio_row() -> Row:
    """Measure a portfolio of 2,000 option positions against one call of the kernel on as many.

    Forwards by parity, implied volatilities, Greeks, and their sums by underlying, expiry,
    strategy, account and in total.
    """
    made, again = _portfolio()
    kernel = _seconds(lambda: greeks(**made))
    measured = alternate(_seconds(again), kernel)
    what = "2,000 positions revalued and summed"
    return Row("G1", what, "ms", "one kernel call", 25, 10, True, *measured)


def implied(_directory: Path) -> list[Row]:
    """Measure G2."""
    servers.show("G2 implied volatility")
    made = _priced(100_000)
    count = len(made["price"])
    few = {name: column[:FEW] for name, column in made.items()}
    ours = _rate(implied_volatility, made, count)
    rows = []
    for name, function, must, reach in (
        ("QuantLib", _quantlib_implied, 4, 5.5),
        ("py_lets_be_rational", _rational_implied, 40, 60),
    ):
        measured = alternate(ours, _rate(function, few, FEW))
        rows.append(Row("G2", f"{count:,} options", "/s", name, must, reach, False, *measured))
    return rows


def _rate(function: Callable[..., Any], columns: Columns, count: int) -> Callable[[], float]:
    """Return what measures a function's contracts a second."""

    def measure() -> float:
        function(**columns)
        calls, started = 0, time.perf_counter()
        while (taken := time.perf_counter() - started) < SECONDS:
            function(**columns)
            calls += 1
        return calls * count / taken

    return measure


def _seconds(function: Callable[[], Any]) -> Callable[[], float]:
    """Return what measures the milliseconds of a call."""

    def measure() -> float:
        function()
        calls, started = 0, time.perf_counter()
        while (taken := time.perf_counter() - started) < SECONDS:
            function()
            calls += 1
        return taken / calls * 1000

    return measure


def _portfolio() -> tuple[Columns, Callable[[], Any]]:
    """Return 2,000 options of 50 expiries as columns, and what revalues them as positions."""
    expiries, strikes = 50, np.arange(80.0, 120.0, 2.0)
    keys = [(n, k, sign) for n in range(expiries) for k in strikes for sign in (1.0, -1.0)]
    number, strike, sign = (list(column) for column in zip(*keys, strict=True))
    years, rate = np.linspace(0.02, 1.0, expiries), np.full(expiries, 0.03)
    contracts = valuation.contracts(strike, sign, number)
    made = {
        "forward": np.full(len(keys), 101.0),
        "strike": contracts.strike,
        "years": years[contracts.expiry],
        "volatility": 0.2 + 0.001 * np.abs(contracts.strike - 100),
        "rate": rate[contracts.expiry],
        "sign": contracts.sign,
    }
    mid, nothing = greeks(**made).price, np.full(expiries, math.nan)
    quantity = DRAW.integers(-20, 20, len(keys)).astype(float)
    names = {
        "underlying": [n // 5 for n in number],
        "expiry": number,
        "strategy": [i % 7 for i in range(len(keys))],
        "account": [i % 3 for i in range(len(keys))],
        "total": [0] * len(keys),
    }
    groupings = {name: aggregation.group(of) for name, of in names.items()}

    def again() -> Any:
        valued = valuation.value(
            contracts, mid=mid, future=nothing, spot=nothing, years=years, rate=rate
        )
        held = np.stack(valued.greeks[1:], axis=1) * quantity[:, None]
        return aggregation.sums(held, groupings)

    return made, again


def _contracts(count: int) -> Columns:
    return {
        "forward": DRAW.uniform(90, 110, count),
        "strike": DRAW.uniform(60, 140, count),
        "years": DRAW.uniform(0.01, 2, count),
        "volatility": DRAW.uniform(0.1, 0.8, count),
        "rate": np.full(count, 0.03),
        "sign": DRAW.choice([-1.0, 1.0], count),
    }


def _priced(count: int) -> Columns:
    """Return liquid out-of-the-money options by their prices, undiscounted."""
    made = _contracts(count)
    made |= {
        "rate": np.zeros(count),
        "sign": np.where(made["strike"] >= made["forward"], 1.0, -1.0),
    }
    price = greeks(**made).price
    del made["volatility"]
    liquid = price > LIQUID * made["forward"]
    return {name: column[liquid] for name, column in ({"price": price} | made).items()}


def _limit(
    *, forward: Any, strike: Any, years: Any, volatility: Any, rate: Any, sign: Any
) -> tuple[Any, ...]:
    """Return the same six values by the shortest way there is, without a guard."""
    root = np.sqrt(years)
    spread = volatility * root
    d1 = np.log(forward / strike) / spread + 0.5 * spread
    discount = np.exp(-rate * years)
    delta = discount * sign * ndtr(sign * d1)
    price = forward * delta - strike * discount * sign * ndtr(sign * (d1 - spread))
    density = discount * np.exp(-0.5 * d1 * d1) * (1 / math.sqrt(2 * math.pi))
    vega = forward * density * root
    theta = rate * price - vega * volatility / (2 * years)
    gamma = density / (forward * spread)
    return price, delta, gamma, vega * 0.01, theta / 365, -0.01 * years * price


def _quantlib(**columns: Any) -> list[tuple[float, ...]]:
    found = []
    for forward, strike, years, volatility, rate, sign in _each(columns):
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, strike)
        discount = math.exp(-rate * years)
        black = ql.BlackCalculator(payoff, forward, volatility * math.sqrt(years), discount)
        price, gamma = black.value(), black.gammaForward()
        theta = rate * price - 0.5 * gamma * (forward * volatility) ** 2
        vega = black.vega(years)
        found.append((price, black.deltaForward(), gamma, vega, theta, -years * price))
    return found


def _quantlib_implied(**columns: Any) -> list[float]:
    found = []
    for price, forward, strike, years, _, sign in _each(columns):
        kind = ql.Option.Call if sign > 0 else ql.Option.Put
        spread = ql.blackFormulaImpliedStdDev(
            kind, strike, forward, price, 1.0, 0.0, ql.nullDouble(), 1e-12
        )
        found.append(spread / math.sqrt(years))
    return found


def _rational_implied(**columns: Any) -> list[float]:
    implied_from = lets_be_rational.implied_volatility_from_a_transformed_rational_guess
    return [
        implied_from(price, forward, strike, years, sign)
        for price, forward, strike, years, _, sign in _each(columns)
    ]


def _each(columns: Columns) -> Iterator[tuple[float, ...]]:
    return zip(*(column.tolist() for column in columns.values()), strict=True)
