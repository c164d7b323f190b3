"""The Greeks of what is held: per position, and summed by underlying, expiry, strategy, account.

A position's Greeks are its quantity times those of its instrument: an option's as last valued
(portfolio/revaluation.py), of everything else the multiplier as delta and nothing else. Sums are
per currency. What is held and cannot be valued is listed, and left out of the sums.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from brokers import clocks
from brokers.instruments.kinds import InstrumentKind, decimal_text
from portfolio import aggregation
from portfolio.aggregation import GREEKS
from portfolio.model_prices import model_price
from portfolio.models import Position
from portfolio.option_rows import OptionGreeks

NOT_VALUED = "not valued yet"


def held(accounts: Iterable[str]) -> list[Position]:
    """Return the open positions of these accounts, with all it takes to say their Greeks."""
    rows = Position.objects.filter(connection__name__in=list(accounts)).exclude(quantity=0)
    related = ("connection", "instrument", "instrument__greeks", "instrument__quote")
    return list(rows.select_related(*related).order_by("pk"))


def describe(positions: Sequence[Position], *, now: datetime) -> dict[str, Any]:
    """Return the Greeks of positions as clients see them; `now` is the wall's time.

    Ages are seconds of the oldest quote beneath a figure, on the position's market clock.
    """
    rows = of_positions(positions, now=now)
    unvalued = [row for row in rows if row["problem"] is not None]
    names = ("position", "account", "symbol", "underlying", "problem")
    return {
        "total": summed(rows, ()),
        **{f"by_{name}": summed(rows, (name,)) for name in GROUPS},
        "positions": rows,
        "unvalued": [{name: row[name] for name in names} for row in unvalued],
        "units": UNITS,
    }


def of_positions(positions: Sequence[Position], *, now: datetime) -> list[dict[str, Any]]:
    """Return each position's Greeks, None with a `problem` where it is not valued."""
    replayed = clocks.replayed()
    return [_position(p, replayed.get(p.connection.name, now)) for p in positions]


def summed(rows: Sequence[Mapping[str, Any]], by: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the sums of what is valued, by these names and currency."""
    valued = [row for row in rows if row["problem"] is None]
    keys = [(*(row[name] for name in by), row["currency"]) for row in valued]
    figures = np.array([[row[name] for name in GREEKS] for row in valued]).reshape(-1, len(GREEKS))
    grouping = aggregation.group(keys)
    sums = aggregation.sums(figures, {"": grouping})[""]
    ages = _oldest(grouping, valued)
    return [
        dict(zip((*by, "currency"), key, strict=True))
        | {name: float(value) for name, value in zip(GREEKS, sums[n], strict=True)}
        | {"quote_age_seconds": ages[n]}
        for n, key in enumerate(grouping.names)
    ]


GROUPS = ("underlying", "expiry", "strategy", "account")
UNITS = {
    "delta": "units of the underlying",
    "gamma": "delta per 1.0 of the underlying",
    "vega": "money per volatility point (0.01)",
    "theta": "money per calendar day",
    "rho": "money per percentage point of the rate",
}


def _position(position: Position, market_now: datetime) -> dict[str, Any]:
    instrument = position.instrument
    option: OptionGreeks | None = getattr(instrument, "greeks", None)
    row: dict[str, Any] = {
        "position": position.pk,
        "account": position.connection.name,
        "strategy": position.strategy,
        "symbol": instrument.symbol,
        "underlying": instrument.underlying or instrument.symbol,
        "expiry": None if instrument.expiry_date is None else instrument.expiry_date.isoformat(),
        "currency": instrument.currency,
        "quantity": decimal_text(position.quantity),
    }
    sources: dict[str, Any] = dict.fromkeys(
        ("volatility", "volatility_source", "forward", "forward_source"), None
    )
    unit: Mapping[str, float | None]
    if instrument.kind != InstrumentKind.OPTION:
        quote = getattr(instrument, "quote", None)
        unit = dict.fromkeys(GREEKS, 0.0) | {"delta": float(instrument.multiplier)}
        as_of, problem = (quote.as_of if quote else None), None
    elif option is None:
        unit, as_of, problem = dict.fromkeys(GREEKS), None, NOT_VALUED
    else:
        unit = option.greeks_at(market_now)
        as_of, problem = option.as_of, option.problem or None
        sources = {name: getattr(option, name) or None for name in sources}
        sources["forward"] = model_price(option.forward)
    quantity = float(position.quantity)
    greeks = {name: None if u is None else quantity * u for name, u in unit.items()}
    age = None if as_of is None else max((market_now - as_of).total_seconds(), 0.0)
    return row | greeks | sources | {"quote_age_seconds": age, "problem": problem}


def _oldest(
    grouping: aggregation.Grouping, rows: Sequence[Mapping[str, Any]]
) -> list[float | None]:
    """Return the age of the oldest quote in each group; None where one has no quote."""
    ages: list[float | None] = [0.0] * len(grouping.names)
    for number, row in zip(grouping.numbers, rows, strict=True):
        known, age = ages[number], row["quote_age_seconds"]
        ages[number] = None if known is None or age is None else max(known, age)
    return ages
