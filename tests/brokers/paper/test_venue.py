"""What the paper venue does with orders."""

from datetime import time as clock
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from brokers.contract import (
    BrokerUnavailable,
    GrantExpired,
    Liquidity,
    OrderRejected,
    OrderType,
    Side,
    TimeInForce,
    VenueStatus,
)
from brokers.models import BrokerConnection, Instrument, PaperOrder, PaperReport
from brokers.paper.venue import PaperVenue, match
from tests.clock import now

BUY, SELL = Side.BUY, Side.SELL


def test_a_market_order_is_accepted_and_filled_at_once(send):
    report = send(BUY, 10, client_order_id="abc")

    assert (report.client_order_id, report.status) == ("abc", VenueStatus.FILLED)
    assert report.filled_quantity == 10
    (fill,) = report.fills
    assert (fill.side, fill.quantity, fill.price) == (BUY, 10, 101)
    assert (fill.commission, fill.commission_currency) == (Decimal("0.101"), "USD")
    assert (fill.liquidity, fill.flags) == (Liquidity.TAKER, ())
    assert fill.venue_order_id == report.venue_order_id


def test_terms_come_from_the_connection(send, account):
    account.settings = {"slippage_basis_points": 10, "commission_basis_points": "2.5"}
    account.save()

    (fill,) = send(SELL, 10).fills

    assert fill.price == Decimal("98.90")
    assert fill.commission == Decimal("0.24725")


def test_without_settings_five_and_one_basis_points_apply(send, account):
    account.settings = {}
    account.save()

    (fill,) = send(BUY, 10).fills

    assert (fill.price, fill.commission) == (Decimal("101.06"), Decimal("0.10106"))


def test_the_multiplier_counts_in_the_commission(send):
    Instrument.objects.filter(symbol="AAPL").update(multiplier=100)

    assert send(BUY, 10).fills[0].commission == Decimal("10.1")


@pytest.mark.parametrize(
    ("_case", "values", "text"),
    [
        ("no such symbol", {"symbol": "NOPE"}, "unknown symbol NOPE"),
        ("a stop order without stop", {"order_type": OrderType.STOP}, "needs a positive stop"),
        ("a stop price too many", {"stop_price": Decimal(5)}, "has no stop price"),
        (
            "a stop at once",
            {
                "order_type": OrderType.STOP,
                "stop_price": Decimal(5),
                "time_in_force": TimeInForce.IOC,
            },
            "cannot be IOC",
        ),
        ("GTD without its time", {"time_in_force": TimeInForce.GTD}, "needs the time"),
        ("a post-only market order", {"post_only": True}, "can be post-only"),
        ("a limit order without limit", {"order_type": OrderType.LIMIT}, "needs a positive limit"),
        ("a limit of nothing", {"limit": 0}, "needs a positive limit"),
    ],
)
def test_a_refused_order_is_recorded_with_the_reason(send, venue, _case, values, text, reports):
    with pytest.raises(OrderRejected, match=text):
        send(BUY, 10, client_order_id="refused", **values)

    found = venue.find_order("refused")
    assert (found.status, found.fills) == (VenueStatus.REJECTED, ())
    assert text in found.reason
    assert [report.status for report in reports()] == [VenueStatus.REJECTED]


def test_an_index_cannot_be_traded(send):
    Instrument.objects.filter(symbol="AAPL").update(is_tradable=False)

    with pytest.raises(OrderRejected, match="AAPL cannot be traded"):
        send(BUY, 10)


@pytest.mark.parametrize(
    ("_case", "values"),
    [
        ("nothing", {"quantity": "0"}),
        ("less than nothing", {"quantity": "-1"}),
        ("no number", {"quantity": "NaN"}),
        ("no end", {"quantity": "Infinity"}),
        ("more digits than the ledger holds", {"quantity": "0.12345678901"}),
        ("larger than the ledger holds", {"quantity": "1e18"}),
        ("a limit price with too many digits", {"limit": "0.12345678901"}),
        ("an id that is too long", {"client_order_id": "x" * 37}),
        ("no id", {"client_order_id": ""}),
        ("a symbol that is too long", {"symbol": "x" * 65}),
    ],
)
def test_what_is_no_order_is_refused_unrecorded(send, _case, values):
    with pytest.raises(OrderRejected):
        send(**values)

    assert not PaperOrder.objects.exists()


def test_an_expired_grant_sends_nothing(venue, grant):
    with pytest.raises(GrantExpired):
        venue.submit(grant(seconds=0))

    assert not PaperOrder.objects.exists()
    assert not PaperReport.objects.exists()


def test_a_spent_grant_sends_nothing_more(venue, grant):
    once = grant()
    venue.submit(once)

    with pytest.raises(GrantExpired):
        venue.submit(once)
    assert PaperOrder.objects.count() == 1


def test_a_partial_fill_s_remainder_fills_on_the_next_quote(send, venue, quote):
    quote("AAPL", bid=99, ask=101, ask_size=4)
    first = send(BUY, 10, client_order_id="part")
    assert (first.status, first.filled_quantity) == (VenueStatus.PARTIALLY_FILLED, 4)

    quote("AAPL", bid=100, ask=102, ask_size=5)
    match(["AAPL"], now=now())
    assert venue.find_order("part").filled_quantity == 9

    quote("AAPL", bid=101, ask=103, ask_size=5)
    match(["AAPL"], now=now())
    done = venue.find_order("part")

    assert (done.status, done.filled_quantity) == (VenueStatus.FILLED, 10)
    assert [(fill.quantity, fill.price) for fill in done.fills] == [(4, 101), (5, 102), (1, 103)]


def test_a_resting_limit_fills_at_its_limit_when_touched(send, venue, quote):
    assert send(BUY, 10, limit=95, client_order_id="rest").status is VenueStatus.ACCEPTED

    quote("AAPL", bid=94, ask=96)
    match(["AAPL"], now=now())
    assert venue.find_order("rest").status is VenueStatus.ACCEPTED

    quote("AAPL", bid=93, ask=94)
    match(["AAPL"], now=now())
    (fill,) = venue.find_order("rest").fills
    assert (fill.price, fill.liquidity, fill.flags) == (95, Liquidity.MAKER, ("unknown_size",))


def test_orders_of_an_account_share_a_quote_first_come_first_served(send, venue, quote):
    for name in ("first", "second", "third"):
        send(BUY, 10, limit=95, client_order_id=name)

    quote("AAPL", bid=94, ask=95, ask_size=15)
    match(["AAPL"], now=now())

    filled = [venue.find_order(name).filled_quantity for name in ("first", "second", "third")]
    assert filled == [10, 5, 0]


def test_a_market_order_without_a_book_waits_or_takes_the_last_price(send, venue, quote):
    quote("EURUSD")
    assert send(BUY, 1000, symbol="EURUSD", client_order_id="wait").status is VenueStatus.ACCEPTED

    quote("EURUSD", last="1.10000")
    match(["EURUSD"], now=now())

    (fill,) = venue.find_order("wait").fills
    assert (fill.price, fill.flags) == (Decimal("1.1"), ("no_book", "unknown_size"))


def test_an_instrument_without_any_quote_accepts_and_waits(send):
    assert send(BUY, 1000, symbol="EURUSD").status is VenueStatus.ACCEPTED


def test_an_order_whose_quote_moves_while_it_is_written_is_not_forgotten(send, venue, server):
    """The market loop looks for working orders before this one is committed, and never again."""
    server.execute(
        """
        CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN UPDATE brokers_quote SET bid = 93, ask = 94, number = number + 1; RETURN NEW; END';
        CREATE TRIGGER move BEFORE INSERT ON brokers_paperorder
        FOR EACH ROW EXECUTE FUNCTION move()
        """
    )
    assert send(BUY, 10, limit=95, client_order_id="crossed").status is VenueStatus.ACCEPTED

    assert venue.find_order("crossed").status is VenueStatus.FILLED


def test_cancel_ends_what_still_works(send, venue, quote):
    quote("AAPL", bid=99, ask=101, ask_size=4)
    send(BUY, 10, client_order_id="part")

    report = venue.cancel("part")

    assert (report.status, report.filled_quantity) == (VenueStatus.CANCELLED, 4)
    assert len(report.fills) == 1
    assert venue.cancel("part") == report
    quote("AAPL", bid=99, ask=101)
    match(["AAPL"], now=now())
    assert venue.find_order("part") == report


def test_cancel_of_a_filled_order_tells_that_it_is_filled(send, venue):
    send(BUY, 10, client_order_id="done")

    assert venue.cancel("done").status is VenueStatus.FILLED


def test_cancel_ends_every_duplicate(send, venue):
    for _ in range(2):
        send(BUY, 10, limit=95, client_order_id="twice")

    venue.cancel("twice")

    assert set(PaperOrder.objects.values_list("status", flat=True)) == {"CANCELLED"}


def test_what_never_arrived_is_not_found(venue):
    assert venue.find_order("nothing") is None
    assert venue.cancel("nothing") is None
    assert venue.reports_since("").reports == ()


def test_another_account_s_order_is_not_found(send):
    BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    send(BUY, 10, client_order_id="mine")

    other = PaperVenue("other")
    assert other.find_order("mine") is None
    assert other.cancel("mine") is None
    assert other.reports_since("").reports == ()


def test_a_day_order_ends_with_the_account_s_day(send, venue, account):
    account.day_roll_time, account.day_roll_zone = clock(17), "Asia/Kolkata"
    account.save()
    send(BUY, 10, limit=95, client_order_id="day", time_in_force=TimeInForce.DAY)
    send(BUY, 10, limit=95, client_order_id="gtc", time_in_force=TimeInForce.GTC)
    ends = PaperOrder.objects.get(client_order_id="day").expires_at
    assert now() < ends <= now() + timedelta(days=1)
    assert (ends.hour, ends.minute) == (11, 30)

    match([], now=ends - timedelta(microseconds=1))
    assert venue.find_order("day").status is VenueStatus.ACCEPTED

    match([], now=ends)
    day = venue.find_order("day")
    assert (day.status, day.reason) == (VenueStatus.EXPIRED, "the trading day has ended")
    assert venue.find_order("gtc").status is VenueStatus.ACCEPTED


def test_a_day_order_does_not_fill_after_its_day(send, venue, quote):
    send(BUY, 10, limit=95, client_order_id="day", time_in_force=TimeInForce.DAY)

    quote("AAPL", bid=93, ask=94)
    match(["AAPL"], now=now() + timedelta(days=2))

    found = venue.find_order("day")
    assert (found.status, found.fills) == (VenueStatus.EXPIRED, ())


def test_matching_costs_three_statements_where_nothing_fills(send):
    for limit in range(50, 90):
        send(BUY, 10, limit=limit)

    connections["paper"].close()
    connections["paper"].ensure_connection()
    with CaptureQueriesContext(connections["paper"]) as queries:
        match(["AAPL"], now=now())

    assert len([q for q in queries if "brokers_" in q["sql"]]) == 3


@pytest.mark.parametrize("bad", ["many", "-1", "NaN", None, {}])
def test_unusable_terms_send_nothing(send, account, bad):
    account.settings = {"slippage_basis_points": bad}
    account.save()

    with pytest.raises(BrokerUnavailable, match="slippage_basis_points"):
        send(BUY, 10)
    assert not PaperOrder.objects.exists()
