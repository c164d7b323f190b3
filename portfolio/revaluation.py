"""From quotes to the stored Greeks of each option: one read, one vectorised pass, one write."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import connection

from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.rows import EXPIRES_AT, in_force
from brokers.instruments.symbols import Right
from portfolio import valuation
from portfolio.aggregation import GREEKS
from portfolio.option_rows import InterestRate, OptionGreeks
from portfolio.valuation import ForwardSource, VolatilitySource

YEAR_SECONDS = 365.0 * 86_400
EXPIRED = "expired"
NO_FORWARD = "no future, pair of quotes or spot for a forward"
NO_VOLATILITY = "no quote of its expiry gives a volatility"
_FORWARD = {
    ForwardSource.NONE: "",
    ForwardSource.FUTURE: "future",
    ForwardSource.PARITY: "parity",
    ForwardSource.SPOT: "spot",
}
_VOLATILITY = {
    VolatilitySource.NONE: "",
    VolatilitySource.QUOTE: "quote",
    VolatilitySource.OTHER_RIGHT: "other_right",
    VolatilitySource.SMILE: "smile",
}


@dataclass(frozen=True, slots=True)
class Row:
    """An instrument with its quote, as it is read; `expires_at` None: it never does."""

    id: int
    symbol: str
    kind: str
    underlying: str
    currency: str
    multiplier: Decimal
    strike: Decimal | None
    right: str
    expires_at: datetime | None
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    as_of: datetime | None

    @property
    def mid(self) -> float:
        """Return the middle of a two-sided quote, else NaN."""
        if self.bid is None or self.ask is None:
            return math.nan
        return (float(self.bid) + float(self.ask)) / 2

    @property
    def mark(self) -> float:
        """Return the mid, the last price where there is no two-sided quote, else NaN."""
        mid = self.mid
        return float(self.last) if math.isnan(mid) and self.last is not None else mid


def underlyings_of(symbols: Collection[str]) -> set[str]:
    """Return the underlyings with options that a move of these symbols makes worth revaluing."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDERLYINGS, {"symbols": list(symbols)})
        return {name for (name,) in cursor.fetchall()}


def revalue(underlyings: Collection[str], *, now: datetime) -> int:
    """Value every option on these underlyings and store it; `now` is their market's time.

    :returns: how many were looked at
    """
    if not underlyings:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"underlyings": list(underlyings), "now": now})
        rows = [Row(*values) for values in cursor.fetchall()]
    rates = dict(InterestRate.objects.values_list("currency", "rate"))
    valued = value(rows, rates=rates, now=now)
    _store(valued)
    return len(valued)


def value(rows: Sequence[Row], *, rates: dict[str, float], now: datetime) -> list[OptionGreeks]:
    """Return the valuation of every option among the rows, unsaved."""
    if not any(row.kind == InstrumentKind.OPTION for row in rows):
        return []
    return _Valuation(rows, rates=rates, now=now).options()


class _Valuation:
    """One pass over the options among some rows, valued at construction."""

    def __init__(self, rows: Sequence[Row], *, rates: dict[str, float], now: datetime) -> None:
        self.now = now
        self.rows = [row for row in rows if row.kind == InstrumentKind.OPTION]
        self.futures = {
            (row.underlying, row.expires_at): row
            for row in rows
            if row.kind == InstrumentKind.FUTURE
        }
        self.spots = {row.symbol: row for row in rows}
        currency = {(row.underlying, row.expires_at): row.currency for row in self.rows}
        self.keys = list(currency)
        number = {key: n for n, key in enumerate(self.keys)}
        self.contracts = valuation.contracts(
            [float(row.strike or 0) for row in self.rows],
            [1.0 if row.right == Right.CALL else -1.0 for row in self.rows],
            [number[row.underlying, row.expires_at] for row in self.rows],
        )
        self.years = [_years(expires_at, now) for _, expires_at in self.keys]
        self.rate = [rates.get(currency[key], 0.0) for key in self.keys]
        with np.errstate(invalid="ignore"):
            self.result = valuation.value(
                self.contracts,
                mid=np.array([row.mid for row in self.rows]),
                future=np.array([_mark(self.futures.get(key)) for key in self.keys]),
                spot=np.array([_mark(self.spots.get(name)) for name, _ in self.keys]),
                years=np.array(self.years),
                rate=np.array(self.rate),
            )

    def options(self) -> list[OptionGreeks]:
        """Return each option's valuation, in the order of the rows."""
        forward_at = [self._forward_at(n) for n in range(len(self.keys))]
        return [self._option(i, forward_at) for i in range(len(self.rows))]

    def _option(self, i: int, forward_at: Sequence[datetime | None]) -> OptionGreeks:
        row, expiry, result = self.rows[i], self.contracts.expiry[i], self.result
        source = VolatilitySource(result.volatility_source[i])
        made = OptionGreeks(
            instrument_id=row.id,
            rate=self.rate[expiry],
            years=self.years[expiry],
            forward=_number(result.forward[expiry]),
            forward_source=_FORWARD[ForwardSource(result.forward_source[expiry])],
            volatility=_number(result.volatility[i]),
            volatility_source=_VOLATILITY[source],
            valued_at=self.now,
        )
        expired = self.years[expiry] <= 0.0
        other = source is VolatilitySource.OTHER_RIGHT
        quoted = self.rows[self.contracts.other[i]] if other else row
        times = [forward_at[expiry], None if expired else quoted.as_of]
        made.as_of = min((at for at in times if at is not None), default=None)
        if expired:
            made.volatility_source = EXPIRED
        if made.forward is None:
            made.problem = EXPIRED if expired else NO_FORWARD
        elif made.as_of is None or (made.volatility is None and not expired):
            made.problem = NO_VOLATILITY
        else:
            made.price = float(result.greeks.price[i])
            for name in GREEKS:
                per_unit = float(getattr(result.greeks, name)[i])
                setattr(made, name, per_unit * float(row.multiplier))
        return made

    def _forward_at(self, n: int) -> datetime | None:
        """Return the time of the quotes that an expiry's forward was taken from."""
        match ForwardSource(self.result.forward_source[n]):
            case ForwardSource.FUTURE:
                return self.futures[self.keys[n]].as_of
            case ForwardSource.PARITY:
                call = int(self.result.forward_at[n])
                pair = self.rows[call], self.rows[self.contracts.other[call]]
                return min(row.as_of for row in pair if row.as_of is not None)
            case ForwardSource.SPOT:
                return self.spots[self.keys[n][0]].as_of
        return None


def _years(expires_at: datetime | None, now: datetime) -> float:
    if expires_at is None:
        return 0.0
    return max((expires_at - now).total_seconds(), 0.0) / YEAR_SECONDS


def _mark(row: Row | None) -> float:
    return math.nan if row is None else row.mark


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _store(valued: Sequence[OptionGreeks]) -> None:
    """Write them in one statement; what was valued later already stays."""
    params: dict[str, Any] = {name: [getattr(row, name) for row in valued] for name in _TYPES}
    with connection.cursor() as cursor:
        cursor.execute(_STORE, params)


_TYPES = {
    "instrument_id": "bigint",
    **dict.fromkeys(("price", *GREEKS, "forward", "volatility", "rate", "years"), "float8"),
    **dict.fromkeys(("forward_source", "volatility_source", "problem"), "text"),
    **dict.fromkeys(("as_of", "valued_at"), "timestamptz"),
}
_NAMES = ", ".join(_TYPES)
_STORE = f"""
INSERT INTO portfolio_optiongreeks AS held ({_NAMES})
SELECT * FROM unnest({", ".join(f"%({name})s::{kind}[]" for name, kind in _TYPES.items())})
ON CONFLICT (instrument_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _TYPES)}
    WHERE held.valued_at <= excluded.valued_at
"""  # noqa: S608 our own names
_READ = f"""
SELECT i.id, i.symbol, i.kind, coalesce(nullif(i.underlying, ''), i.symbol), i.currency,
       i.multiplier, i.strike, i."right", {EXPIRES_AT}, q.bid, q.ask, q.last, q.as_of
FROM brokers_instrument i
{in_force("%(now)s::timestamptz")}
LEFT JOIN brokers_quote q ON q.instrument_id = i.id
WHERE (i.kind IN ('OPTION', 'FUTURE') AND i.underlying = ANY(%(underlyings)s))
   OR i.symbol = ANY(%(underlyings)s)
ORDER BY i.id
"""  # noqa: S608 our own names
_UNDERLYINGS = """
SELECT DISTINCT o.underlying FROM brokers_instrument o
WHERE o.kind = 'OPTION' AND o.underlying IN (
    SELECT coalesce(nullif(i.underlying, ''), i.symbol) FROM brokers_instrument i
    WHERE i.symbol = ANY(%(symbols)s))
"""
