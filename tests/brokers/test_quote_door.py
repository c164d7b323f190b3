"""The one door for quotes: zero, absent, unknown and stale are four things.

What is zero, negative or no number means that nobody is there: the side is empty. What is absent
was not told; an absent size is unknown. Nothing but a positive price passes.
"""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from brokers import quotes
from brokers.bars import mark_of
from brokers.contract import QuoteUpdate
from brokers.feeds.recorded import Arrival, RecordedFile
from brokers.models import Instrument, Quote
from orders.market import replay_account
from orders.market.loop import MarketLoop
from orders.market.replay import AsFastAsItGoes, Replay
from tests import databases

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
BASE = {"bid": "99", "ask": "101", "last": "100", "bid_size": "5", "ask_size": "6"}
NOBODY = ("0", "-1", "NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E-11", "1E+18")
SIDE_OF = {
    "bid": ("bid", "bid_size"),
    "bid_size": ("bid", "bid_size"),
    "ask": ("ask", "ask_size"),
    "ask_size": ("ask", "ask_size"),
    "last": ("last",),
}


def decimals(values):
    return {name: None if v is None else Decimal(v) for name, v in values.items()}


def update(symbol="AAPL", at=T0, **values):
    return QuoteUpdate(symbol=symbol, as_of=at, **decimals(values))


def expected(field, given):
    """Return what is left of `BASE` where `field` is given so."""
    if given is None and field.endswith("_size"):  # unknown, and the price stands
        return decimals(BASE | {field: None})
    if given is None or given in NOBODY:
        return decimals(BASE | dict.fromkeys(SIDE_OF[field]))
    return decimals(BASE | {field: given})


class Told:
    """A feed of one quote, which is told anew for each step."""

    values = BASE

    def step(self, now):
        return [update(at=now, **self.values)]


def by_the_store():
    def put(values):
        quotes.store([update(**values)], now=T0)
        return "AAPL"

    return put


def by_the_market_loop():
    feed = Told()
    loop = MarketLoop(feed, holder="test")

    def put(values):
        feed.values = values
        assert loop.step()
        return "AAPL"

    return put


def by_a_replay():
    def put(values):
        instrument = replay_account.instrument_for("AAPL.R", like="AAPL")
        account = replay_account.account_for(None, instrument, zone="UTC", settings={})
        replay_account.begin(account, [instrument], first=T0)
        replay = Replay(account, [instrument], holder="test", strategy=None, pace=AsFastAsItGoes())
        list(replay.play([Arrival(1, T0, (update("AAPL.R", **values),))]))
        replay.close()
        return "AAPL.R"

    return put


DOORS = [by_the_store, by_the_market_loop, by_a_replay]


@pytest.mark.parametrize("door", DOORS)
def test_whatever_a_field_is_given_as_nobody_is_no_price_behind_any_door(account, valkey, door):
    put, wrong = door(), []
    for field in SIDE_OF:
        for given in (*NOBODY, None, "100"):
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM brokers_quote")
            symbol = put(BASE | {field: given})
            held = Quote.objects.get(instrument__symbol=symbol)
            if {name: getattr(held, name) for name in BASE} != expected(field, given):
                wrong.append((field, given, {name: getattr(held, name) for name in BASE}))

    assert wrong == []


@pytest.mark.parametrize(
    ("_case", "given", "mark"),
    [
        ("a book", {"bid": "99", "ask": "101", "last": "5"}, "100"),
        ("nobody bids", {"bid": "0", "ask": "101", "last": "100"}, "100"),
        ("nobody bids, nothing traded", {"bid": "0", "ask": "101"}, None),
        ("a bid of no size", {"bid": "99", "bid_size": "0", "ask": "101", "last": "98"}, "98"),
        ("nobody at all", {"bid": "0", "ask": "0", "last": "0"}, None),
        ("crossed", {"bid": "102", "ask": "101", "last": "100"}, "100"),
        ("no number", {"bid": "NaN", "ask": "101", "last": "NaN"}, None),
    ],
)
def test_a_mark_is_made_of_prices_that_somebody_gave(account, _case, given, mark):
    quotes.store([update(**given)], now=T0)

    expected = None if mark is None else Decimal(mark)
    assert mark_of(update(**given)) == expected
    assert Quote.objects.get().mark == expected


@pytest.mark.parametrize(
    ("_case", "given", "has_book"),
    [
        ("a feed of trades has none", {"last": "100"}, False),
        ("nothing told", {}, False),
        ("both sides", {"bid": "99", "ask": "101"}, True),
        ("one side", {"ask": "101"}, True),
        ("a bid of zero tells of an empty one", {"bid": "0", "last": "100"}, True),
        ("so does a size", {"ask_size": "0", "last": "100"}, True),
        ("and a crossed one", {"bid": "102", "ask": "101"}, True),
    ],
)
def test_an_empty_book_is_told_from_none(account, _case, given, has_book):
    quotes.store([update(**given)], now=T0)

    assert Quote.objects.get().has_book is has_book


def test_both_sides_of_a_crossed_quote_are_empty_and_a_locked_one_stands(account):
    quotes.store([update(bid="102", ask="101", bid_size="5", last="100")], now=T0)
    held = Quote.objects.get()
    assert (held.bid, held.ask, held.bid_size, held.last) == (None, None, None, 100)

    quotes.store([update(bid="101", ask="101")], now=T0)
    held.refresh_from_db()
    assert (held.bid, held.ask) == (101, 101)


def test_a_last_size_that_is_nothing_is_a_trade_of_nothing(account):
    for given in NOBODY:
        quotes.store([update(last="100", last_size=given)], now=T0)

        held = Quote.objects.get()
        assert (held.last, held.last_size) == (100, 0), given


TICKS = "ms_since_midnight_utc,bid,ask"
QUOTE_BARS = ",".join(
    ["ms_since_midnight_utc"]
    + [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    + ["bid_size", "ask_size"]
)
TRADE_BARS = "ms_since_midnight_utc,open,high,low,close,volume"
FILES = {
    "bid of ticks": (TICKS, "1,{},101", "bid"),
    "ask of ticks": (TICKS, "1,99,{}", "ask"),
    "bid of bars": (QUOTE_BARS, "1,{0},{0},{0},{0},101,101,101,101,5,6", "bid"),
    "ask of bars": (QUOTE_BARS, "1,99,99,99,99,{0},{0},{0},{0},5,6", "ask"),
    "trades": (TRADE_BARS, "1,{0},{0},{0},{0},7", "last"),
}


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "Infinity", ""])
@pytest.mark.parametrize("kind", FILES)
def test_a_recorded_price_of_nobody_is_an_empty_side_or_a_row_refused(tmp_path, kind, text):
    header, row, field = FILES[kind]
    path = tmp_path / "x_1m_2020-01-06.csv"
    path.write_text(f"{header}\n{row.format(text)}\n")
    problems = []

    arrivals = list(RecordedFile(path, symbol="X").arrivals(problems))

    assert bool(arrivals) != bool(problems)
    assert {getattr(u, field) for a in arrivals for u in a.updates} <= {None}
    assert all(u.has_book or field == "last" for a in arrivals for u in a.updates)


def test_a_size_of_zero_is_unknown_only_in_a_column_that_never_tells_one(tmp_path):
    path = tmp_path / "x_1m_2020-01-06.csv"
    rows = ["0,99,99,99,99,101,101,101,101,5,0", "60000,99,99,99,99,101,101,101,101,0,0"]
    path.write_text("\n".join([QUOTE_BARS, *rows]) + "\n")

    told, none = list(RecordedFile(path, symbol="X").arrivals([]))

    assert {(u.bid, u.bid_size, u.ask, u.ask_size) for u in told.updates} == {(99, 5, 101, None)}
    assert {(u.bid, u.bid_size, u.ask, u.ask_size) for u in none.updates} == {
        (None, None, 101, None)
    }


def test_a_bar_without_volume_in_a_column_that_tells_it_traded_nothing(tmp_path):
    path = tmp_path / "x_1m_2020-01-06.csv"
    path.write_text(f"{TRADE_BARS}\n0,9,9,9,9,400\n60000,9,9,9,9,0\n")

    told, none = list(RecordedFile(path, symbol="X").arrivals([]))

    assert {u.last_size for u in told.updates} == {100}
    assert {u.last_size for u in none.updates} == {0}


def test_the_table_itself_holds_nothing_else(account):
    quotes.store([update(**BASE)], now=T0)

    for field in SIDE_OF:
        for value in ("0", "-1", "'NaN'", "'Infinity'"):
            with (
                pytest.raises((IntegrityError, DataError)),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(f"UPDATE brokers_quote SET {field} = {value}")


def test_quotes_that_are_stored_already_are_put_right(account, db):
    databases.use(db, address=databases.OWNER)  # who migrates
    graph = MigrationExecutor(connection).loader.graph
    (door,) = (node for key, node in graph.node_map.items() if key[1].endswith("_quote_door"))
    MigrationExecutor(connection).migrate([p.key for p in door.parents if p.key[0] == "brokers"])
    made = [
        ("AAPL", "0, 101, 5, 6, 100, 0"),
        ("EURUSD", "99, 101, 0, 'NaN', -1, 'NaN'"),
        ("TRADES", "NULL, NULL, NULL, NULL, 100, 7"),
        ("GOOD", "99, 101, 5, 6, 100, 7"),
    ]
    for symbol, values in made:
        row = Instrument.objects.filter(symbol=symbol).values_list("pk", flat=True).first()
        if row is None:
            row = Instrument.objects.create(
                symbol=symbol, kind="EQUITY", currency="USD", tick_size=1, lot_size=1
            ).pk
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO brokers_quote (instrument_id, bid, ask, bid_size, ask_size, last,"
                f" last_size, as_of, received_at, number) VALUES (%s, {values}, now(), now(), 1)",
                [row],
            )

    MigrationExecutor(connection).migrate(graph.leaf_nodes("brokers"))

    fields = ("bid", "bid_size", "ask", "ask_size", "last", "last_size", "has_book")
    found = {q.instrument.symbol: tuple(getattr(q, f) for f in fields) for q in Quote.objects.all()}
    assert found == {
        "AAPL": (None, None, 101, 6, 100, 0, True),
        "EURUSD": (None, None, None, None, None, None, True),
        "TRADES": (None, None, None, None, 100, 7, False),
        "GOOD": (99, 5, 101, 6, 100, 7, True),
    }
