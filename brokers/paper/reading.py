"""All that a desk must know of an account, read in one statement under the account's lock."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brokers.instruments.rows import EXPIRES_AT, LOT_SIZE, in_force
from brokers.models import BrokerConnection, Instrument, PaperHolding, Quote
from brokers.paper.ledger import ALIAS
from execution_site.floor import statements

_CONNECTION = ("id", "name", "day_roll_time", "day_roll_zone")
_INSTRUMENT = ("id", "symbol", "currency", "multiplier", "tick_size", "lot_size", "is_tradable")
_NOW = "coalesce(clock.now, now())"
_DATED = f"i.id, i.symbol, i.currency, i.multiplier, i.tick_size, {LOT_SIZE}, i.is_tradable"
_QUOTE = tuple(f.attname for f in Quote._meta.concrete_fields)
_HOLDING = tuple(f.attname for f in PaperHolding._meta.concrete_fields)


@dataclass(frozen=True, slots=True)
class Opened:
    """An account: its settings, its replayed clock if it has one, when its latest line was.

    `cut_offs` say when an instrument stops to trade, `closes` when its exchange's session ends,
    each where there is such a time.
    """

    connection: BrokerConnection
    settings: dict[str, Any]
    clock: datetime | None
    latest_at: datetime | None
    instruments: list[Instrument]
    holdings: dict[str, PaperHolding]
    cut_offs: dict[str, datetime]
    closes: dict[str, datetime]


def account(name: str, symbols: Collection[str]) -> Opened | None:
    """Return an account and those of the symbols that exist, quoted; None: no such account."""
    params = {"account": name, "symbols": list(symbols)}
    rows = statements.run(_ACCOUNT, params, using=ALIAS)
    if not rows:
        return None
    instruments, holdings = [], {}
    cut_offs: dict[str, datetime] = {}
    closes: dict[str, datetime] = {}
    for row in rows:
        values = iter(row[len(_CONNECTION) + 3 :])
        instrument = _made(Instrument, _INSTRUMENT, values)
        ends = (cut_offs, next(values)), (closes, next(values))
        quote = _made(Quote, _QUOTE, values)
        held = _made(PaperHolding, _HOLDING, values)
        if instrument.pk is None:
            continue
        for times, at in ends:
            if at is not None:
                times[instrument.symbol] = at
        if quote.pk is not None:
            instrument.quote = quote
        instruments.append(instrument)
        if held.pk is not None:
            holdings[held.symbol] = held
    values = iter(rows[0])
    connection = _made(BrokerConnection, _CONNECTION, values)
    settings, clock, latest_at = next(values), next(values), next(values)
    return Opened(
        connection,
        json.loads(settings),
        clock,
        latest_at,
        instruments,
        holdings,
        cut_offs,
        closes,
    )


def _made(model: Any, names: Collection[str], values: Any) -> Any:
    return model.from_db(ALIAS, names, [next(values) for _ in names])


def _names(alias: str, names: Collection[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


_ACCOUNT = f"""
SELECT {_names("c", _CONNECTION)}, c.settings::text, clock.now,
       (SELECT r.at FROM brokers_paperreport r WHERE r.account = c.name ORDER BY r.id DESC LIMIT 1),
       {_DATED}, {EXPIRES_AT}, session.closes_at,
       {_names("q", _QUOTE)}, {_names("h", _HOLDING)}
FROM brokers_brokerconnection c
LEFT JOIN brokers_marketclock clock ON clock.connection_id = c.id
LEFT JOIN brokers_instrument i ON i.symbol = ANY(%(symbols)s)
{in_force(_NOW)}
LEFT JOIN LATERAL (
    SELECT s.closes_at FROM brokers_exchangesession s
    WHERE s.exchange = i.exchange AND s.closes_at > {_NOW}
    ORDER BY s.closes_at LIMIT 1) AS session ON true
LEFT JOIN brokers_quote q ON q.instrument_id = i.id
LEFT JOIN brokers_paperholding h ON h.account = c.name AND h.symbol = i.symbol
WHERE c.name = %(account)s
"""  # noqa: S608 our own names
