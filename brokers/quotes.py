"""The quote store: the latest quote of each instrument, written in one statement."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from brokers.contract import QuoteUpdate
from brokers.instruments.kinds import optional_text
from brokers.models import Quote
from execution_site.floor import locks

_NUMBERS = ("bid", "ask", "bid_size", "ask_size", "last", "last_size")
_FLAGS = ("has_book", "of_bar")
_VALUES = (*_NUMBERS, *_FLAGS)
_STORE = f"""
INSERT INTO brokers_quote AS held
    (instrument_id, {", ".join(_VALUES)}, as_of, received_at, number)
SELECT i.id, {", ".join(f"u.{v}" for v in _VALUES)}, u.as_of, %(now)s, 1
FROM unnest(%(symbol)s::text[], {", ".join(f"%({v})s::numeric[]" for v in _NUMBERS)},
            {", ".join(f"%({v})s::boolean[]" for v in _FLAGS)}, %(as_of)s::timestamptz[])
    AS u (symbol, {", ".join(_VALUES)}, as_of)
JOIN brokers_instrument i ON i.symbol = u.symbol
ON CONFLICT (instrument_id) DO UPDATE
    SET {", ".join(f"{v} = excluded.{v}" for v in _VALUES)},
        as_of = excluded.as_of, received_at = excluded.received_at, number = held.number + 1
    WHERE held.as_of <= excluded.as_of
"""  # noqa: S608 our own names


def store(updates: Sequence[QuoteUpdate], *, now: datetime) -> None:
    """Store the newest update of each symbol; an older one never replaces a newer quote.

    Of updates with one time the last counts: a feed's order is that of arrival. Symbols we do not
    know are left out: a feed may carry more than we trade.
    """
    newest: dict[str, QuoteUpdate] = {}
    for update in updates:
        held = newest.get(update.symbol)
        if held is None or update.as_of >= held.as_of:
            newest[update.symbol] = update
    rows = [newest[symbol] for symbol in sorted(newest)]
    params: dict[str, Any] = {
        name: [getattr(row, name) for row in rows] for name in ("symbol", "as_of", *_VALUES)
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORE, params | {"now": now})


def locked(symbols: Collection[str]) -> set[str]:
    """Return those of the symbols whose quote somebody else holds locked, without waiting."""
    quoted = Quote.objects.filter(instrument__symbol__in=symbols)
    names = quoted.values_list("instrument__symbol", flat=True)
    with transaction.atomic():
        return set(names) - set(locks.free_for_update(names))


def latest(symbols: Collection[str]) -> dict[str, Quote]:
    """Return the quotes of those symbols that have one, with their instruments."""
    quoted = Quote.objects.filter(instrument__symbol__in=symbols).select_related("instrument")
    return {quote.instrument.symbol: quote for quote in quoted}


def quote_json(quote: Quote, symbol: str) -> dict[str, Any]:
    """Return a quote as clients see it."""
    return {
        "symbol": symbol,
        "bid": optional_text(quote.bid),
        "ask": optional_text(quote.ask),
        "bid_size": optional_text(quote.bid_size),
        "ask_size": optional_text(quote.ask_size),
        "last": optional_text(quote.last),
        "mark": optional_text(quote.mark),
        "as_of": quote.as_of.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
