"""Whatever the order in which a venue's fills reach us, and however often, the end is the same."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.contract import FillReport, Liquidity, OrderReport, Side, VenueStatus
from orders.booking import venue_reports
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action, Fill, Order
from orders.sending import grants
from portfolio.holding import Holding, apply_fill
from portfolio.models import Position

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRADES = [  # side, quantity, price: opens, adds, reduces, flattens, goes short, flips
    (Side.BUY, 10, 100),
    (Side.BUY, 5, 103),
    (Side.SELL, 6, 101),
    (Side.SELL, 9, 99),
    (Side.SELL, 4, 98),
    (Side.BUY, 7, 97),
    (Side.BUY, 1, 96),
]


@pytest.fixture
def reports(trader, quote, valkey):
    """An order at the venue for each trade, and the report of its fill."""
    quote("AAPL", bid=99, ask=101)
    made = []
    for n, (side, quantity, price) in enumerate(TRADES):
        request = SignalRequest(
            signal_id=f"f{n}",
            strategy="alpha",
            account="paper",
            symbol="AAPL",
            action=Action(side.value),
            quantity=Decimal(quantity),
            body={"n": n},
        )
        now = datetime.now(UTC)
        order = submit_signal(request, client=trader, now=now).order_id
        grant = grants.claim_and_grant(order, now=datetime.now(UTC))
        name = grant.request.client_order_id
        fill = FillReport(
            client_order_id=name,
            venue_order_id=f"v{n}",
            venue_trade_id=f"t{n}",
            symbol="AAPL",
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            commission=Decimal("0.01"),
            commission_currency="USD",
            liquidity=Liquidity.TAKER,
            traded_at=START + timedelta(seconds=n),
        )
        made.append(
            OrderReport(
                client_order_id=name,
                venue_order_id=f"v{n}",
                status=VenueStatus.FILLED,
                filled_quantity=Decimal(quantity),
                reported_at=fill.traded_at,
                fills=(fill,),
            )
        )
    return made


def in_order():
    held = Holding()
    for side, quantity, price in TRADES:
        held = apply_fill(
            held,
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            commission=Decimal("0.01"),
            multiplier=Decimal(1),
        )
    return held


@pytest.mark.parametrize("seed", range(25))
def test_shuffled_and_repeated_fills_fold_as_the_venue_traded_them(reports, seed):
    chance = random.Random(seed)
    told = reports + chance.sample(reports, 3)
    chance.shuffle(told)
    while told:
        burst = [told.pop() for _ in range(min(len(told), chance.randint(1, 3)))]
        venue_reports.book("paper", burst, now=datetime.now(UTC))

    assert Position.objects.get(strategy="alpha").holding == in_order()
    assert Fill.objects.count() == len(TRADES)
    assert set(Order.objects.values_list("status", flat=True)) == {"FILLED"}


def test_filled_without_executions_is_not_filled_yet(reports):
    said = reports[0]
    bare = OrderReport(
        client_order_id=said.client_order_id,
        venue_order_id=said.venue_order_id,
        status=VenueStatus.FILLED,
        filled_quantity=said.filled_quantity,
        reported_at=said.reported_at,
    )
    venue_reports.book("paper", [bare], now=datetime.now(UTC))
    order = Order.objects.get(client_order_id=said.client_order_id)
    assert (order.status, order.poll_due_at is not None) == ("ACCEPTED", True)

    venue_reports.book("paper", [said], now=datetime.now(UTC))
    order.refresh_from_db()
    assert (order.status, order.poll_due_at) == ("FILLED", None)


def test_a_fill_after_the_cancel_is_booked_and_flagged(reports):
    said = reports[0]
    cancelled = OrderReport(
        client_order_id=said.client_order_id,
        venue_order_id=said.venue_order_id,
        status=VenueStatus.CANCELLED,
        filled_quantity=Decimal(0),
        reported_at=said.reported_at,
    )
    venue_reports.book("paper", [cancelled], now=datetime.now(UTC))
    venue_reports.book("paper", [said], now=datetime.now(UTC))

    order = Order.objects.get(client_order_id=said.client_order_id)
    assert (order.status, order.fills.get().late) == ("FILLED", True)
