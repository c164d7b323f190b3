"""The market loop: what is locked or hangs for one account holds up no other."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from brokers import registry
from brokers.contract import OrderType, QuoteUpdate
from brokers.models import BrokerConnection, PaperOrder, Quote
from brokers.paper import venue
from brokers.paper.venue import PaperVenue
from execution_site.floor import apart
from execution_site.floor.leases import Lease
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.market.loop import LEASE, LEASE_TTL, MarketLoop
from orders.models import Action, Order, StreamCursor
from orders.sending import submission
from portfolio.history import PnlPoint
from risk.days import DayResult
from risk.models import Breaker
from tests import databases
from tests.clock import now

SECONDS = 20
QUOTED = {"AAPL": ("99", "101"), "EURUSD": ("1.1000", "1.1010")}
FALLEN = {"AAPL": ("94", "95"), "EURUSD": ("1.0490", "1.0500")}
HELD = {"paper": ("AAPL", "10", "95"), "other": ("EURUSD", "1000", "1.05")}


class Feed:
    """Quotes prices as they are set, at each step."""

    def __init__(self, prices):
        self.prices = prices

    def step(self, at):
        return [
            QuoteUpdate(symbol=symbol, as_of=at, bid=Decimal(bid), ask=Decimal(ask))
            for symbol, (bid, ask) in self.prices.items()
        ]


@pytest.fixture
def feed(account, trader, quote, valkey):
    """Two accounts: each holds a position, has an order that rests, and a breaker of its own."""
    other = BrokerConnection.objects.create(
        name="other", broker="paper", environment="paper", settings=account.settings
    )
    trader.accounts.add(other)
    for symbol, (bid, ask) in QUOTED.items():
        quote(symbol, bid=bid, ask=ask)
    for each in (account, other):
        symbol, quantity, low = HELD[each.name]
        buy(trader, each.name, symbol, quantity)
        buy(trader, each.name, symbol, quantity, OrderType.LIMIT, Decimal(low))
        Breaker.objects.create(kind="venue_errors", threshold=100, connection=each)
    feed = Feed(QUOTED)
    loop = MarketLoop(feed, holder="first")
    # each account has its minute, its day and its cursor
    run(loop, lambda: StreamCursor.objects.count() == 2)
    registry._adapters.clear()
    assert DayResult.objects.filter(strategy="").count() == 2
    Lease.objects.all().delete()
    DayResult.objects.update(evaluated_at=now() - timedelta(hours=1))
    Breaker.objects.update(evaluated_at=None)
    feed.prices = FALLEN
    return feed


def buy(client, account, symbol, quantity, order_type=OrderType.MARKET, limit_price=None):
    body = {"account": account, "symbol": symbol, "order_type": order_type.value}
    request = SignalRequest(
        account=account,
        signal_id=json.dumps(body),
        strategy="alpha",
        symbol=symbol,
        action=Action.BUY,
        quantity=Decimal(quantity),
        order_type=order_type,
        limit_price=limit_price,
        body=body,
    )
    outcome = submit_signal(request, client=client, now=now())
    assert outcome.status == 202, outcome.body
    submission.transmit(outcome.order_id, now=now())


def all_is_done(account):
    """Tell whether an account's order has filled, and its day and breaker were evaluated."""
    since = now() - timedelta(minutes=1)
    mine = {"connection__name": account}
    return (
        not Order.objects.filter(**mine).exclude(status="FILLED").exists()
        and DayResult.objects.filter(**mine, strategy="", evaluated_at__gt=since).exists()
        and PnlPoint.objects.filter(**mine, at__gt=since - timedelta(minutes=1)).exists()
        and Breaker.objects.filter(**mine, evaluated_at__gt=since).exists()
        and Quote.objects.filter(instrument__symbol=HELD[account][0], as_of__gt=since).exists()
    )


def run(loop, until):
    """Step until something is so; return the slowest step in seconds."""
    slowest, deadline = 0.0, time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        began = time.monotonic()
        assert loop.step()
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.05)
    return slowest


@contextmanager
def locked(db, sql):
    """Hold a lock from elsewhere."""
    with psycopg.connect(databases.url_of(db)) as connection:
        assert connection.execute(sql).fetchall()
        yield


MINE = "connection_id = (SELECT id FROM brokers_brokerconnection WHERE name = 'paper')"
AAPL = "instrument_id = (SELECT id FROM brokers_instrument WHERE symbol = 'AAPL')"


@pytest.mark.alone
@pytest.mark.parametrize(
    ("_case", "sql"),
    [
        ("paper account", "SELECT pg_advisory_xact_lock(hashtextextended('paper', 7))"),
        ("paper orders", "SELECT 1 FROM brokers_paperorder WHERE account = 'paper' FOR UPDATE"),
        ("orders", f"SELECT 1 FROM orders_order WHERE {MINE} FOR UPDATE"),
        ("position", f"SELECT 1 FROM portfolio_position WHERE {MINE} FOR UPDATE"),
        ("cursor", f"SELECT 1 FROM orders_streamcursor WHERE {MINE} FOR UPDATE"),
        ("day", f"SELECT 1 FROM risk_dayresult WHERE {MINE} FOR UPDATE"),
        ("minute", f"SELECT 1 FROM portfolio_pnlpoint WHERE {MINE} FOR UPDATE"),
        ("breaker", f"SELECT 1 FROM risk_breaker WHERE {MINE} FOR UPDATE"),
        ("quote", f"SELECT 1 FROM brokers_quote WHERE {AAPL} FOR UPDATE"),
        ("bars", f"SELECT 1 FROM brokers_bar WHERE {AAPL} FOR UPDATE"),
        ("account", "SELECT 1 FROM brokers_brokerconnection WHERE name = 'paper' FOR UPDATE"),
    ],
)
def test_what_is_locked_for_one_account_holds_up_no_other(db, feed, caplog, _case, sql):
    loop = MarketLoop(feed, holder="second")
    with locked(db, sql):
        slowest = run(loop, lambda: all_is_done("other"))
        for _ in range(4):
            loop.step()
        told = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
        assert len(told) == len(set(told))
        assert not any(record.exc_info for record in caplog.records)

    print(f"{_case}: slowest step {slowest:.2f} s, {told}")
    assert slowest < LEASE_TTL.total_seconds()
    assert Lease.objects.get(name=LEASE).epoch == 1
    run(loop, lambda: all_is_done("paper"))


class HangingVenue(PaperVenue):
    """A paper venue that does not answer who asks for its reports."""

    def __init__(self, account):
        super().__init__(account)
        self.asked = 0
        self.answers = threading.Event()

    def reports_since(self, cursor):
        self.asked += 1
        self.answers.wait()
        return super().reports_since(cursor)


def test_a_venue_that_hangs_outlives_no_lease_and_holds_up_no_other(db, feed):
    hanging = registry._adapters["paper"] = HangingVenue("paper")
    loop = MarketLoop(feed, holder="second")
    try:
        slowest = run(loop, lambda: all_is_done("other") and hanging.asked)
        hung = time.monotonic()
        run(loop, lambda: time.monotonic() - hung > LEASE_TTL.total_seconds())
        assert hanging.asked == 1
        assert slowest < LEASE_TTL.total_seconds()
        assert Lease.objects.get(name=LEASE).epoch == 1
        matched = PaperOrder.objects.filter(account="paper").exclude(status="FILLED")
        assert not matched.exists()  # the market of its account goes on
        assert Breaker.objects.filter(connection__name="paper").exclude(evaluated_at=None).exists()
    finally:
        hanging.answers.set()
    run(loop, lambda: all_is_done("paper"))


def test_what_two_followers_read_at_once_counts_once(db, feed):
    """One that hung, and read the same page in the end, moves no cursor back."""
    hanging = registry._adapters["paper"] = HangingVenue("paper")
    old, new = MarketLoop(feed, holder="second"), MarketLoop(feed, holder="second")
    run(old, lambda: hanging.asked == 1)
    registry._adapters["paper"] = PaperVenue("paper")
    run(new, lambda: all_is_done("paper"))
    cursors = list(Order.objects.filter(connection__name="paper").values_list("updated_at"))
    hanging.answers.set()
    for _ in range(4):
        new.step()
        time.sleep(0.1)

    assert list(Order.objects.filter(connection__name="paper").values_list("updated_at")) == cursors


def test_quotes_of_before_a_pause_are_not_stored(db, feed, monkeypatch):
    monkeypatch.setattr(apart, "FRESH_SECONDS", 0.2)
    before = dict(Quote.objects.values_list("instrument__symbol", "as_of"))

    class Paused(Feed):
        def step(self, at):
            updates = super().step(at)
            time.sleep(0.3)
            return updates

    loop = MarketLoop(Paused(FALLEN), holder="second")
    for _ in range(3):
        loop.step()

    assert dict(Quote.objects.values_list("instrument__symbol", "as_of")) == before
    assert PaperOrder.objects.exclude(status="FILLED").count() == 2


def test_nothing_is_matched_at_quotes_of_before_a_pause(db, feed, monkeypatch):
    """Here every moment between reading quotes and writing what they fill counts as a pause."""
    loop = MarketLoop(feed, holder="second")
    with monkeypatch.context() as patched:
        patched.setattr(venue, "MATCH_SECONDS", 0.0)
        for _ in range(3):
            loop.step()
        assert PaperOrder.objects.exclude(status="FILLED").count() == 2

    run(loop, lambda: all_is_done("paper") and all_is_done("other"))
