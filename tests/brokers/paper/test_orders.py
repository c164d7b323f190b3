"""Every order type and time in force at the paper venue, and how it behaves on request."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers import clocks
from brokers.contract import (
    BrokerUnavailable,
    Liquidity,
    OrderRejected,
    OrderType,
    OutcomeUnknown,
    Side,
    TimeInForce,
    VenueStatus,
)
from brokers.models import ExchangeSession, Instrument, PaperHolding, PaperOrder
from brokers.paper.venue import match
from tests.clock import now

BUY, SELL = Side.BUY, Side.SELL
STOP, STOP_LIMIT, LIMIT = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.LIMIT
IOC, FOK, GTD = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD
DEEP = {"bid_size": 5000, "ask_size": 5000}


@pytest.fixture
def tick(quote):
    """Quote AAPL and match: `tick(99, 101, ask_size=5)`."""

    def put(bid, ask, **sizes):
        quote("AAPL", bid=bid, ask=ask, **sizes)
        match(["AAPL"], now=now())

    return put


@pytest.fixture
def settings_of(account):
    """Change the account's settings: `settings_of(latency_ms=100)`."""

    def change(**values):
        account.settings = account.settings | values
        account.save()

    return change


def prices(report):
    return [(fill.quantity, fill.price) for fill in report.fills]


def test_a_stop_is_triggered_by_one_quote_and_filled_by_the_next(send, venue, tick):
    send(SELL, 10, order_type=STOP, stop_price=Decimal(95), client_order_id="stop")
    tick(96, 97)
    assert not PaperOrder.objects.get().triggered

    tick(95, 96)
    assert venue.find_order("stop").status is VenueStatus.ACCEPTED
    assert PaperOrder.objects.get().triggered

    tick(91, 92)
    assert prices(venue.find_order("stop")) == [(10, 91)]


def test_a_stop_whose_price_is_touched_when_it_comes_fills_from_the_next_quote(send, venue, tick):
    report = send(BUY, 10, order_type=STOP, stop_price=Decimal(100), client_order_id="stop")
    assert (report.status, PaperOrder.objects.get().triggered) == (VenueStatus.ACCEPTED, True)

    match(["AAPL"], now=now())
    assert not venue.find_order("stop").fills

    tick(99, 101)
    assert prices(venue.find_order("stop")) == [(10, 101)]


def test_a_stop_limit_that_is_passed_by_waits_at_its_limit(send, venue, tick):
    send(SELL, 10, limit=94, order_type=STOP_LIMIT, stop_price=Decimal(95), client_order_id="sl")
    tick(95, 96)
    tick(90, 91)
    assert venue.find_order("sl").status is VenueStatus.ACCEPTED

    tick(94, 95)
    (fill,) = venue.find_order("sl").fills
    assert (fill.price, fill.liquidity) == (94, Liquidity.MAKER)


@pytest.mark.parametrize(
    ("_case", "tif", "limit", "quantity", "status", "filled"),
    [
        ("IOC takes what there is", IOC, None, 6000, "CANCELLED", 5000),
        ("IOC within its limit", IOC, 101, 10, "FILLED", 10),
        ("IOC beyond its limit", IOC, 100, 10, "CANCELLED", 0),
        ("FOK takes all", FOK, None, 5000, "FILLED", 5000),
        ("FOK or nothing", FOK, None, 5001, "CANCELLED", 0),
    ],
)
def test_at_once_or_not(send, _case, tif, limit, quantity, status, filled):
    report = send(BUY, quantity, limit, time_in_force=tif)

    assert (report.status, report.filled_quantity) == (status, filled)


def test_a_gtd_order_ends_at_its_time(send, venue):
    ends = now() + timedelta(minutes=5)
    send(BUY, 10, limit=95, time_in_force=GTD, expires_at=ends, client_order_id="gtd")

    match([], now=ends - timedelta(microseconds=1))
    assert venue.find_order("gtd").status is VenueStatus.ACCEPTED
    match([], now=ends)
    assert venue.find_order("gtd").status is VenueStatus.EXPIRED


def test_post_only_rests_or_is_refused(send, venue, tick):
    with pytest.raises(OrderRejected, match="would take at once"):
        send(BUY, 10, limit=101, post_only=True)

    send(BUY, 10, limit=100, post_only=True, client_order_id="maker")
    tick(98, 99)

    (fill,) = venue.find_order("maker").fills
    assert (fill.price, fill.liquidity) == (100, Liquidity.MAKER)


def test_reduce_only_never_turns_the_position(send, venue, tick):
    with pytest.raises(OrderRejected, match="larger than what it can reduce"):
        send(SELL, 1, reduce_only=True)
    send(BUY, 10)
    send(SELL, 10, limit=105, reduce_only=True, client_order_id="out")
    send(SELL, 7)

    tick(105, 106)

    out = venue.find_order("out")
    assert (out.filled_quantity, PaperHolding.objects.get().quantity) == (3, 0)
    tick(106, 107)
    assert venue.find_order("out").status is VenueStatus.CANCELLED


def test_orders_that_come_one_after_another_share_a_quote(send, quote):
    quote("AAPL", bid=99, ask=101, bid_size=5, ask_size=15)

    assert send(BUY, 10).filled_quantity == 10
    assert send(BUY, 10, client_order_id="second").filled_quantity == 5
    assert send(BUY, 10).filled_quantity == 0
    assert send(SELL, 5).filled_quantity == 5


def test_an_order_meets_each_quote_once(send, venue, quote):
    quote("AAPL", bid=99, ask=101, ask_size=4)
    send(BUY, 10, client_order_id="part")

    match(["AAPL"], now=now())

    assert venue.find_order("part").filled_quantity == 4


def test_latency_lets_quotes_pass_by(send, venue, quote, settings_of):
    settings_of(latency_ms=1000)
    at = now()
    assert send(BUY, 10, client_order_id="slow").filled_quantity == 0

    quote("AAPL", bid=99, ask=101, at=at + timedelta(milliseconds=900), **DEEP)
    match(["AAPL"], now=now())
    assert venue.find_order("slow").filled_quantity == 0

    quote("AAPL", bid=102, ask=104, at=now() + timedelta(milliseconds=1100), **DEEP)
    match(["AAPL"], now=now())
    assert prices(venue.find_order("slow")) == [(10, 104)]


def test_volume_limits_what_each_quote_gives(send, venue, tick, settings_of):
    settings_of(participation="0.1")
    send(BUY, 10, limit=100, client_order_id="slice")

    for _ in range(3):
        tick(98, 99, ask_size=40)

    assert prices(venue.find_order("slice")) == [(4, 100), (4, 100), (2, 100)]


def test_a_replacement_gives_a_working_order_new_terms(send, venue, grant, tick):
    send(BUY, 10, limit=95, client_order_id="o")

    report = venue.replace(grant(BUY, 12, limit=101, client_order_id="o"))

    assert (report.status, report.terms.quantity) == (VenueStatus.FILLED, 12)
    assert prices(report) == [(12, 101)]
    assert prices(venue.find_order("o")) == [(12, 101)]


@pytest.mark.parametrize(
    ("_case", "quantity", "limit", "text"),
    [
        ("what is filled cannot be given back", 4, 101, "4.* are filled already"),
        ("a limit order keeps a limit", 12, 0, "needs a positive limit"),
    ],
)
def test_a_replacement_that_cannot_be(send, venue, grant, quote, _case, quantity, limit, text):
    quote("AAPL", bid=99, ask=101, ask_size=4)
    send(BUY, 10, limit=101, client_order_id="o")

    with pytest.raises(OrderRejected, match=text):
        venue.replace(grant(BUY, quantity, limit, client_order_id="o"))

    assert venue.find_order("o").terms.quantity == 10


def test_an_order_that_has_ended_cannot_be_replaced(send, venue, grant):
    send(BUY, 10, client_order_id="o")

    with pytest.raises(OrderRejected, match="works no more"):
        venue.replace(grant(BUY, 20, client_order_id="o"))


def test_the_market_s_clock_dates_orders_and_fills(send, venue, account, quote):
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    clocks.set_clock(account, at)

    report = send(BUY, 10, limit=95, time_in_force=TimeInForce.DAY, client_order_id="old")

    assert at <= report.reported_at < at + timedelta(seconds=1)
    match([], now=now())
    assert venue.find_order("old").status is VenueStatus.ACCEPTED
    clocks.set_clock(account, at + timedelta(hours=12))
    match([], now=now())
    assert venue.find_order("old").status is VenueStatus.EXPIRED


@pytest.mark.parametrize(
    ("fault", "error", "orders"),
    [
        ("reject_probability", OrderRejected, 1),
        ("unavailable_probability", BrokerUnavailable, 0),
        ("lose_answer_probability", OutcomeUnknown, 1),
    ],
)
def test_on_request_it_refuses_disconnects_and_loses_answers(
    send, settings_of, fault, error, orders
):
    settings_of(**{fault: 1})

    with pytest.raises(error):
        send(BUY, 10)

    assert PaperOrder.objects.count() == orders


def test_on_request_reports_come_twice_and_late(send, venue, reports, settings_of, account):
    send(BUY, 10)
    settings_of(repeat_probability=1)
    assert len(reports()) == 4

    settings_of(late_seconds=60)
    assert reports() == []


def test_the_holding_keeps_cash_and_fees(send):
    send(BUY, 10)
    send(SELL, 4)

    held = PaperHolding.objects.get()
    assert (held.quantity, held.cash) == (6, -10 * 101 + 4 * 99)
    assert held.fees == Decimal("0.101") + Decimal("0.0396")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"fill_price": "best"}, "fill_price"),
        ({"participation": 2}, "more than 1"),
        ({"queue": 1}, "true or false"),
        ({"slipage_ticks": 1}, "no such setting: slipage_ticks"),
    ],
)
def test_unusable_settings_are_named(send, settings_of, settings, text):
    settings_of(**settings)

    with pytest.raises(BrokerUnavailable, match=text):
        send(BUY, 10)


def test_a_day_order_ends_with_the_session_and_nothing_outlives_its_cut_off(send, account):
    share = Instrument.objects.get(symbol="AAPL")
    share.exchange, share.expiry_date = "XTST", datetime.now(UTC).date() + timedelta(days=2)
    share.save()
    closes = datetime.now(UTC) + timedelta(minutes=5)
    for days in (0, 2):
        ExchangeSession.objects.create(
            exchange="XTST",
            trading_date=datetime.now(UTC).date() + timedelta(days=days),
            opens_at=closes + timedelta(days=days, hours=-6),
            closes_at=closes + timedelta(days=days),
        )

    send("BUY", 10, limit=90, time_in_force=TimeInForce.DAY)
    send("BUY", 10, limit=90, time_in_force=TimeInForce.GTC)

    day, gtc = PaperOrder.objects.order_by("pk")
    assert day.expires_at <= closes
    assert gtc.expires_at == closes + timedelta(days=2)
