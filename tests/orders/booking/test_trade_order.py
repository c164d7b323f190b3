"""Trades of one time are folded in the venue's own order, in whatever order they arrive."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from brokers.contract import FillReport, Liquidity, OrderReport, Side, VenueStatus
from brokers.models import Instrument
from orders.booking import venue_reports
from orders.control import breakers
from orders.models import Fill, Order
from orders.reports import agreement
from portfolio import fold
from portfolio.models import ClosedTrade, Position
from risk.models import Breaker
from tests.clock import now

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def orders(account, valkey):
    """A buying and a selling order at the venue."""
    instrument = Instrument.objects.get(symbol="AAPL")
    made = {}
    for side in Side:
        made[side] = Order.objects.create(
            origin="SIGNAL",
            client_order_id=f"o{side}",
            connection=account,
            strategy="alpha",
            instrument=instrument,
            side=side.value,
            order_type="MARKET",
            time_in_force="DAY",
            quantity=1_000_000,
            status="ACCEPTED",
            trading_date=AT.date(),
            created_at=AT,
            updated_at=AT,
            claimed_at=AT,
        )
    return made


def trade(trade_id, side, quantity, price, *, sequence=None):
    return FillReport(
        client_order_id=f"o{side}",
        venue_order_id=f"v{side}",
        venue_trade_id=trade_id,
        symbol="AAPL",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal("0.01"),
        commission_currency="USD",
        liquidity=Liquidity.TAKER,
        traded_at=AT,
        sequence=sequence,
    )


def tell(*trades):
    reports = [
        OrderReport(
            client_order_id=f"o{side}",
            venue_order_id=f"v{side}",
            status=VenueStatus.PARTIALLY_FILLED,
            filled_quantity=Decimal(0),
            reported_at=AT,
            fills=tuple(t for t in trades if t.side is side),
        )
        for side in Side
    ]
    venue_reports.book("paper", reports, now=now())


@pytest.mark.parametrize(
    ("_case", "first", "second"),
    [
        ("the venue's sequence", ("b", 1), ("a", 2)),
        ("a sequence before what the ids say", ("10", 1), ("9", 2)),
        ("numbers without a sequence, however long", ("9999", None), ("10000", None)),
        ("ids longer than a machine word", ("9" * 19, None), ("1" + "0" * 19, None)),
        ("one number spelt twice: by its text", ("007", None), ("07", None)),
        ("text by code point", ("B", None), ("a", None)),
        ("text before numbers", ("x1", None), ("1", None)),
        ("digits that are no ASCII are text", ("٣", None), ("1", None)),
    ],
)
def test_which_of_two_trades_of_one_time_is_first(_case, first, second):
    keys = [
        fold.FoldKey(AT, told.place, told.venue_trade_id)
        for trade_id, sequence in (first, second)
        for told in [trade(trade_id, BUY, 1, 1, sequence=sequence)]
    ]

    assert keys[0] < keys[1]


def by_sequence(draw, n):
    return f"{draw.randrange(10**9)}-{n}", n


def by_number(draw, n):
    return str(9_990 + n), None


def by_text(draw, n):
    return f"{'ABCab'[n // 5]}{n % 5}", None


@pytest.mark.parametrize("named", [by_sequence, by_number, by_text])
@pytest.mark.parametrize("apart", [1, 3, 25])
def test_shuffled_trades_of_one_time_end_as_the_venue_traded_them(
    orders, named, apart, monkeypatch
):
    monkeypatch.setattr(fold, "POINTS_APART", apart)
    draw = random.Random(f"{named.__name__} {apart}")
    history = []
    for n in range(25):
        trade_id, sequence = named(draw, n)
        side, quantity = draw.choice(list(Side)), draw.randint(1, 9)
        price = Decimal(draw.randint(9_000, 11_000)) / 100
        history.append(trade(trade_id, side, quantity, price, sequence=sequence))
    arriving = draw.sample(history, len(history))
    while arriving:
        burst = [arriving.pop() for _ in range(min(len(arriving), draw.randint(1, 4)))]
        tell(*burst)

    folded = agreement.Folded()
    for one in history:
        signed = one.side.sign * Fraction(one.quantity)
        folded.add(signed, Fraction(one.price), Fraction(one.commission), Fraction(1))
    held = Position.objects.get()
    ended = (held.quantity, held.cost, held.realized_pnl)
    assert tuple(map(Fraction, ended)) == (folded.quantity, folded.cost, folded.realized)
    closed = ClosedTrade.objects.order_by("closed_at", "sequence", "venue_trade_id")
    assert [Fraction(one.pnl) for one in closed] == folded.closed
    assert not [d for d in agreement.differences() if "the venue" not in d]


@pytest.mark.parametrize("apart", [1, 2])
def test_a_trade_with_oneself_is_folded_once_on_each_side(orders, apart, monkeypatch):
    monkeypatch.setattr(fold, "POINTS_APART", apart)
    tell(trade("1", BUY, 3, 100))
    tell(trade("2", SELL, 5, 101), trade("2", BUY, 5, 101))
    tell(trade("4", BUY, 1, 103))
    tell(trade("3", BUY, 1, 102))

    assert Position.objects.get().quantity == 5
    assert not [d for d in agreement.differences() if "the venue" not in d]


def test_a_streak_of_losses_of_one_time_ends_where_the_venue_ended_it(orders):
    breaker = Breaker.objects.create(
        kind="loss_streak", threshold=2, strategy="alpha", evaluated_at=now()
    )
    tell(trade("10000", BUY, 1, 100), trade("10001", SELL, 1, 120))  # the last one wins
    tell(trade("9998", BUY, 1, 100), trade("9999", SELL, 1, 90))
    tell(trade("9996", BUY, 1, 100), trade("9997", SELL, 1, 90))

    breakers.evaluate(now=now())

    breaker.refresh_from_db()
    assert (breaker.state, breaker.value) == ("ARMED", 0)
    newest = ClosedTrade.objects.order_by("-closed_at", "-sequence", "-venue_trade_id")
    assert [one.pnl > 0 for one in newest] == [True, False, False]


def test_fills_are_shown_in_the_venues_order(orders, client, trader_key):
    tell(trade("10000", BUY, 1, 100))
    tell(replace(trade("9999", BUY, 1, 101), sequence=7))
    tell(trade("8", BUY, 1, 102))

    shown = client.get(
        f"/api/v1/orders/{orders[BUY].pk}", headers={"Authorization": trader_key}
    ).json()["fills"]

    assert [fill["sequence"] for fill in shown] == ["7", "8", "10000"]
    assert Fill.objects.count() == 3
