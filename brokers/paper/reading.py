"""All that a desk must know of an account, read in one statement under the account's lock."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from brokers.models import BrokerConnection, Instrument, Quote
from brokers.paper.ledger import ALIAS
from brokers.paper.models import PaperHolding
from execution_site import statements

_CONNECTION = ("id", "name", "day_roll_time", "day_roll_zone")
_INSTRUMENT = (
    "id",
    "symbol",
    "currency",
    "multiplier",
    "tick_size",
    "lot_size",
    "is_tradable",
)
_QUOTE = tuple(f.attname for f in Quote._meta.concrete_fields)
_HOLDING = tuple(f.attname for f in PaperHolding._meta.concrete_fields)


@dataclass(frozen=True, slots=True)
class Opened:
    """An account: its settings, its replayed clock if it has one, when its latest line was."""

    connection: BrokerConnection
    settings: dict[str, Any]
    clock: datetime | None
    latest_at: datetime | None
    instruments: list[Instrument]
    holdings: dict[str, PaperHolding]


def account(name: str, symbols: Collection[str]) -> Opened | None:
    """Return an account and those of the symbols that exist, quoted; None: no such account."""
    params = {"account": name, "symbols": list(symbols)}
    rows = statements.run(_ACCOUNT, params, using=ALIAS)
    if not rows:
        return None
    instruments, holdings = [], {}
    for row in rows:
        values = iter(row[len(_CONNECTION) + 3 :])
        instrument = _made(Instrument, _INSTRUMENT, values)
        quote = _made(Quote, _QUOTE, values)
        held = _made(PaperHolding, _HOLDING, values)
        if instrument.pk is None:
            continue
        if quote.pk is not None:
            instrument.quote = quote
        instruments.append(instrument)
        if held.pk is not None:
            holdings[held.symbol] = held
    values = iter(rows[0])
    connection = _made(BrokerConnection, _CONNECTION, values)
    settings, clock, latest_at = next(values), next(values), next(values)
    return Opened(connection, json.loads(settings), clock, latest_at, instruments, holdings)


def _made(model: Any, names: Collection[str], values: Any) -> Any:
    return model.from_db(ALIAS, names, [next(values) for _ in names])


def _names(alias: str, names: Collection[str]) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


_ACCOUNT = f"""
SELECT {_names("c", _CONNECTION)}, c.settings::text, clock.now,
       (SELECT r.at FROM brokers_paperreport r WHERE r.account = c.name ORDER BY r.id DESC LIMIT 1),
       {_names("i", _INSTRUMENT)}, {_names("q", _QUOTE)}, {_names("h", _HOLDING)}
FROM brokers_brokerconnection c
LEFT JOIN brokers_marketclock clock ON clock.connection_id = c.id
LEFT JOIN brokers_instrument i ON i.symbol = ANY(%(symbols)s)
LEFT JOIN brokers_quote q ON q.instrument_id = i.id
LEFT JOIN brokers_paperholding h ON h.account = c.name AND h.symbol = i.symbol
WHERE c.name = %(account)s
"""  # noqa: S608 our own names
