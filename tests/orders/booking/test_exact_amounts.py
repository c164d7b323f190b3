"""Averages, PnL and the paper ledger to the last digit, from the smallest trades to the largest."""

import importlib
import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.apps import apps

from brokers.contract import FillKind, FillReport, Liquidity, OrderReport, Side, VenueStatus
from brokers.models import Instrument, PaperHolding
from orders.booking import venue_reports
from orders.models import Order
from orders.reports import agreement
from orders.sending import venue_queries
from portfolio import fold
from portfolio.models import ClosedTrade, Position
from tests.clock import now

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUY, SELL = Side.BUY, Side.SELL


def work_at_the_venue(account):
    """Let a buying and a selling order work."""
    share = Instrument.objects.get(symbol="AAPL")
    for side in Side:
        Order.objects.create(
            origin="SIGNAL",
            client_order_id=f"o{side}",
            connection=account,
            strategy="alpha",
            instrument=share,
            side=side.value,
            order_type="MARKET",
            time_in_force="DAY",
            quantity=10**17,
            status="ACCEPTED",
            trading_date=START.date(),
            created_at=START,
            updated_at=START,
            claimed_at=START,
        )


@pytest.fixture
def tell(account, valkey):
    """Book trades: `tell((side, quantity, price), ...)`, each with its own order's name."""

    def book(*trades):
        if not Order.objects.exists():
            work_at_the_venue(account)
        by_side = defaultdict(list)
        for one in trades:
            by_side[one.side].append(one)
        reports = [
            OrderReport(
                client_order_id=f"o{side}",
                venue_order_id=f"v{side}",
                status=VenueStatus.PARTIALLY_FILLED,
                filled_quantity=Decimal(0),
                reported_at=START,
                fills=tuple(own),
            )
            for side, own in by_side.items()
        ]
        venue_reports.book("paper", reports, now=now())

    return book


def trade(n, side, quantity, price, *, paid=("0", "USD"), at=START):
    return FillReport(
        client_order_id=f"o{side}",
        venue_order_id=f"v{side}",
        venue_trade_id=str(n),
        symbol="AAPL",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(paid[0]),
        commission_currency=paid[1],
        liquidity=Liquidity.TAKER,
        traded_at=at,
    )


def differences():
    """Return what disagrees: the paper venue knew nothing, untouched orders told nothing."""
    found = agreement.differences()
    return [d for d in found if "the venue" not in d and "log ends with None" not in d]


@pytest.mark.parametrize(
    ("quantity", "price"),
    [
        ("0.00000001", "0.03457"),
        ("0.0000000001", "0.0000000001"),
        ("0.0000000001", "9999999999.9999999999"),
        ("9999999999.9999999999", "0.0000000001"),
        ("9999999999.9999999999", "9999999999.9999999999"),
    ],
)
def test_the_average_of_one_fill_is_its_price(tell, client, trader_key, quantity, price):
    tell(trade(1, BUY, quantity, price))

    (position,) = client.get("/api/v1/positions", headers={"Authorization": trader_key}).json()[
        "results"
    ]
    order = Order.objects.get(side="BUY")
    assert position["average_price"] == price
    assert order.average_price == Decimal(price)
    assert differences() == []


def a_size(draw):
    """Return a number of any size from 1e-10 to 1e10."""
    return Decimal(draw.randint(1, 10**6)).scaleb(draw.randint(-10, 4))


@pytest.mark.parametrize("seed", range(3))
def test_trades_of_every_size_in_any_order_fold_to_the_last_digit(tell, seed, monkeypatch):
    monkeypatch.setattr(fold, "POINTS_APART", 3)
    draw = random.Random(seed)
    Instrument.objects.update(multiplier=draw.choice((Decimal(50), Decimal("0.0001234567"))))
    trades = [
        trade(
            n,
            draw.choice(list(Side)),
            a_size(draw),
            a_size(draw),
            paid=(str(a_size(draw)), draw.choice(("USD", "BNB"))),
            at=START + timedelta(hours=n),
        )
        for n in range(40)
    ]
    trades.append(replace(trades[7], kind=FillKind.BUST, revision=1))
    trades.append(replace(trades[9], kind=FillKind.CORRECTION, revision=1, price=a_size(draw)))
    draw.shuffle(trades)
    for first in range(0, len(trades), 4):
        tell(*trades[first : first + 4])

    assert differences() == []


@pytest.mark.parametrize(("bid", "ask"), [("0.03456", "0.03457"), ("0.00000001", "0.0000000101")])
def test_the_paper_ledger_agrees_on_very_small_trades(send, account, quote, bid, ask):
    Instrument.objects.update(tick_size=Decimal("1E-10"), lot_size=Decimal("1E-10"))
    for side, quantity in (("BUY", "3E-8"), ("BUY", "1E-10"), ("SELL", "2E-10"), ("SELL", "7E-8")):
        quote("AAPL", bid=bid, ask=ask)
        send(side, quantity)
    while venue_queries.follow("paper", account.pk, now=now()):
        pass

    assert list(agreement.differences()) == []
    held, venues = Position.objects.get(), PaperHolding.objects.get(symbol="AAPL")
    assert held.quantity == venues.quantity == Decimal("-4.01E-8")
    assert held.realized_pnl - held.cost == venues.cash != 0


def test_a_commission_in_another_currency_is_in_no_total_of_the_quotes(tell, client, trader_key):
    tell(trade(1, BUY, 10, 100, paid=("0.5", "USD")))
    tell(trade(2, SELL, 4, 110, paid=("0.001", "BNB")))
    tell(trade(3, SELL, 6, 110, paid=("0.002", "BNB")), trade(4, BUY, 1, 90, paid=("7", "EUR")))
    correction = replace(
        trade(3, SELL, 6, 110, paid=("0.25", "USD")), kind=FillKind.CORRECTION, revision=1
    )
    tell(correction)

    position = Position.objects.get()
    sold = Order.objects.get(side="SELL")
    assert (position.commission, sold.commission) == (Decimal("0.75"), Decimal("0.25"))
    assert ClosedTrade.objects.get().pnl == Decimal("99.25")
    api = {"headers": {"Authorization": trader_key}}
    (shown,) = client.get("/api/v1/positions", **api).json()["results"]
    assert (shown["commission"], shown["other_commissions"]) == (
        "0.75",
        {"BNB": "0.001", "EUR": "7"},
    )
    made = client.get("/api/v1/pnl", **api).json()
    for row in (made["total"][0], made["by_account"][0], made["by_symbol"][0]):
        assert row["commission"] == "0.75"
        assert row["other_commissions"] == {"BNB": "0.001", "EUR": "7"}
    paid = client.get("/api/v1/fills", **api).json()["results"]
    assert {(f["commission"], f["commission_currency"]) for f in paid} == {
        ("0.5", "USD"),
        ("0.001", "BNB"),
        ("0.002", "BNB"),
        ("7", "EUR"),
    }
    assert differences() == []


def test_books_that_were_kept_less_exactly_are_folded_again(tell):
    tell(
        *(
            trade(
                n, BUY if n % 3 else SELL, 1 + n, f"0.0{n + 1}", at=START + timedelta(hours=9 * n)
            )
            for n in range(12)
        ),
        trade(99, BUY, 1, 2, paid=("1", "BNB"), at=START + timedelta(days=20)),
    )
    tell(replace(trade(5, BUY, 6, 1), kind=FillKind.BUST, revision=1))
    assert ClosedTrade.objects.exists()
    Position.objects.update(
        cost=1,
        realized_pnl=2,
        closed_pnl=3,
        folded_date=None,
        opening_cost=4,
        other_commissions="{}",
    )
    ClosedTrade.objects.update(pnl=0)
    assert differences()

    importlib.import_module("orders.migrations.0016_exact_amounts").refold(apps, None)

    assert differences() == []
