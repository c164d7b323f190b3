"""The quote store: the latest quote of each instrument."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brokers import quotes
from brokers.contract import QuoteUpdate
from brokers.models import Quote

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def update(symbol="AAPL", at=T0, **values):
    decimals = {name: None if v is None else Decimal(v) for name, v in values.items()}
    return QuoteUpdate(symbol=symbol, as_of=at, **decimals)


@pytest.mark.parametrize(
    ("_case", "stored", "then", "expected"),
    [
        ("a newer one replaces", update(bid="1"), update(bid="2", at=T0 + SECOND), "2"),
        ("one of the same time replaces", update(bid="1"), update(bid="2"), "2"),
        ("an older one does not", update(bid="1"), update(bid="2", at=T0 - SECOND), "1"),
        ("a side that is gone is empty", update(bid="1"), update(ask="2"), None),
    ],
)
def test_store(account, _case, stored, then, expected):
    quotes.store([stored], now=T0)
    quotes.store([then], now=T0 + SECOND)

    held = Quote.objects.get()
    assert held.bid == (expected and Decimal(expected))


@pytest.mark.parametrize(
    ("_case", "updates", "expected"),
    [
        ("the newest counts", [update(bid="1", at=T0 + SECOND), update(bid="2")], 1),
        ("of one time the last counts", [update(bid="1"), update(bid="2"), update(bid="3")], 3),
    ],
)
def test_of_a_batch_each_symbol_s_latest_is_stored(account, _case, updates, expected):
    quotes.store(updates, now=T0)

    assert Quote.objects.get().bid == expected


def test_a_batch_is_one_statement(account):
    with CaptureQueriesContext(connection) as queries:
        quotes.store([update(), update("EURUSD"), update()], now=T0)

    assert len(queries) == 1
    assert Quote.objects.count() == 2


def test_every_value_is_kept_to_the_last_digit(account):
    values = {
        "bid": "1.0851234567",
        "ask": "999999999999999999.9999999999",
        "bid_size": "0.0000000001",
        "ask_size": None,
        "last": "1.08513",
        "last_size": "1000",
    }
    quotes.store([update(**values)], now=T0 + SECOND)

    held = Quote.objects.get()
    assert {name: getattr(held, name) for name in values} == {
        name: None if v is None else Decimal(v) for name, v in values.items()
    }
    assert (held.as_of, held.received_at) == (T0, T0 + SECOND)


def test_symbols_we_do_not_know_and_no_updates_store_nothing(account):
    quotes.store([update("NOPE", bid="1")], now=T0)
    quotes.store([], now=T0)

    assert not Quote.objects.exists()


def test_latest_returns_what_is_quoted(account):
    quotes.store([update(bid="99", ask="101")], now=T0)

    latest = quotes.latest(["AAPL", "EURUSD", "NOPE"])

    assert {symbol: quote.mark for symbol, quote in latest.items()} == {"AAPL": 100}


@pytest.mark.parametrize(
    ("_case", "values", "mark"),
    [
        ("the mid of a book", {"bid": "1.08512", "ask": "1.08515", "last": "1"}, "1.085135"),
        ("the last price without a bid", {"ask": "101", "last": "100"}, "100"),
        ("unknown without either", {"ask": "101"}, None),
    ],
)
def test_quote_json(account, _case, values, mark):
    quotes.store([update(**values)], now=T0)

    shown = quotes.quote_json(Quote.objects.get(), "AAPL")

    assert shown == {
        "symbol": "AAPL",
        "bid": values.get("bid"),
        "ask": values.get("ask"),
        "bid_size": None,
        "ask_size": None,
        "last": values.get("last"),
        "mark": mark,
        "as_of": "2026-11-20T12:00:00.000000Z",
    }
