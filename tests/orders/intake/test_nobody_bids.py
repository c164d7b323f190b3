"""Where nobody bids nothing is sold: not through the gate, not at the venue, at no price."""

import json
from decimal import Decimal

import pytest
from django.test import Client

from brokers.contract import OrderType
from brokers.models import PaperOrder, PaperReport
from brokers.paper.venue import match
from orders.control import limit_use
from orders.models import Order
from portfolio import history
from portfolio.history import PnlPoint
from risk import days
from risk.models import DayResult
from tests.clock import now

GONE = [
    ("a bid of zero", {"bid": 0, "ask": 101, "last": 100}),
    ("a negative bid", {"bid": -1, "ask": 101, "last": 100}),
    ("a bid that is no number", {"bid": "NaN", "ask": 101, "last": 100}),
    ("a bid too small to be stored", {"bid": "1E-11", "ask": 101, "last": 100}),
    ("a bid of no size", {"bid": 99, "bid_size": 0, "ask": 101, "last": 100}),
    ("an empty book beside a last price", {"bid": 0, "ask": 0, "last": 100}),
    ("only sizes of nothing beside it", {"bid_size": 0, "ask_size": 0, "last": 100}),
    ("a crossed quote", {"bid": 102, "ask": 101, "last": 100}),
    ("nothing at all", {"bid": 0, "ask": 0, "last": 0}),
]


@pytest.fixture
def sell(trader_key, valkey):
    """Post a market SELL of 11 AAPL."""
    client = Client(headers={"authorization": trader_key})

    def post(**values):
        body = {
            "signal_id": "s",
            "strategy": "alpha",
            "account": "paper",
            "symbol": "AAPL",
            "action": "SELL",
            "quantity": "11",
            **values,
        }
        return client.post("/api/v1/signals", json.dumps(body), content_type="application/json")

    return post


@pytest.mark.parametrize(("_case", "quoted"), GONE)
def test_a_market_sell_is_refused_ltp_missing(quote, sell, _case, quoted):
    quote("AAPL", **quoted)

    answer = sell()

    assert answer.status_code == 422
    assert "ltp_missing" in {error["code"] for error in answer.json()["errors"]}
    assert not Order.objects.exists()


def test_a_feed_of_trades_has_no_book_that_could_be_empty(quote, sell):
    quote("AAPL", last=100)

    assert sell().status_code == 202


@pytest.mark.parametrize("settings", [{}, {"fill_price": "mid"}, {"fill_price": "last"}])
def test_an_order_at_the_venue_waits_until_somebody_bids(account, quote, send, settings):
    account.settings = {"slippage_basis_points": "5", **settings}
    account.save()
    quote("AAPL", bid=99, ask=99, last=99, bid_size=3, ask_size=3)
    send("SELL", 11)
    send("SELL", 11, order_type=OrderType.LIMIT, limit_price=Decimal(99), strategy="beta")
    send("SELL", 11, order_type=OrderType.STOP, stop_price=Decimal(99), strategy="gamma")
    filled = PaperReport.objects.filter(price__isnull=False)
    before = filled.count()
    assert before

    for case, quoted in GONE:
        quote("AAPL", **quoted)
        match(["AAPL"], now=now())
        assert filled.count() == before, case

    assert PaperOrder.objects.filter(status__in=["ACCEPTED", "PARTIALLY_FILLED"]).count() == 3
    quote("AAPL", bid=99, ask=99, last=99)
    match(["AAPL"], now=now())
    assert PaperOrder.objects.filter(status="FILLED").count() == 3
    assert not filled.filter(price__lt=98).exists()


@pytest.mark.parametrize(
    ("_case", "quoted", "mark"),
    [
        ("a bid of zero", {"bid": 0, "ask": 101, "last": 90}, 90),
        ("a crossed quote", {"bid": 102, "ask": 101, "last": 90}, 90),
        ("no last price either", {"bid": 0, "ask": 101, "last": 0}, None),
    ],
)
def test_whoever_reads_a_mark_sees_no_zero(account, quote, send, trader_key, _case, quoted, mark):
    send("BUY", 10)
    at = now()
    quote("AAPL", **quoted)
    gained = None if mark is None else Decimal(mark - 101) * 10

    days.evaluate(connection_id=account.pk, now=at, trading_date=account.trading_date(at))
    history.sample(connection_id=account.pk, now=at, trading_date=account.trading_date(at))

    held = Client(headers={"authorization": trader_key}).get("/api/v1/positions").json()
    (shown,) = held["results"]
    day, point = DayResult.objects.get(strategy=""), PnlPoint.objects.get()
    (line,) = limit_use.load([account.name]).lines.values()
    assert shown["last_price"] == (None if mark is None else str(mark))
    assert shown["unrealized_pnl"] == (None if gained is None else str(gained))
    assert line.price == mark
    assert (day.unmarked, point.unmarked) == ((1, 1) if mark is None else (0, 0))
    assert point.unrealized_pnl == (gained or 0)
    assert day.pnl == (gained or 0) - point.commission
    assert point.gross_exposure == (mark or 0) * 10
