"""The books balance: cash, fees, positions and PnL, of the paper ledger and of the engine.

`BOOKS_ORDERS` sets how many random orders a piece has; a long run is quoted in docs/benchmarks.md.
"""

import os
import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from brokers import clocks, quotes
from brokers.contract import OrderType, QuoteUpdate, TimeInForce
from brokers.models import Instrument, PaperHolding
from brokers.paper.venue import match
from orders.control.emergency import NotCancellable, request_cancel
from orders.intake import modify
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.lifecycle import OPEN
from orders.models import Action, Fill, Order
from orders.reports import agreement
from orders.sending import replacement, submission, venue_queries
from portfolio.holding import unrealized_pnl
from portfolio.models import Position

ORDERS = int(os.environ.get("BOOKS_ORDERS", "300"))
START = datetime(2026, 1, 5, tzinfo=UTC)


class Market:
    """Two symbols that walk, with sizes, on a clock of their own."""

    def __init__(self, draw, account):
        self.draw, self.account, self.now = draw, account, START
        self.mids = {"AAPL": 10_000, "EURUSD": 110_000}
        self.tick = {"AAPL": Decimal("0.01"), "EURUSD": Decimal("0.00001")}

    def price(self, symbol, offset=0):
        return (self.mids[symbol] + offset) * self.tick[symbol]

    def move(self):
        self.now += timedelta(milliseconds=self.draw.choice((1, 100, 5_000, 600_000)))
        symbol = self.draw.choice(sorted(self.mids))
        self.mids[symbol] = max(1_000, self.mids[symbol] + self.draw.randint(-6, 6))
        size = 1_000 if symbol == "EURUSD" else 1
        quote = QuoteUpdate(
            symbol=symbol,
            as_of=self.now,
            bid=self.price(symbol, -1),
            ask=self.price(symbol, 1),
            bid_size=Decimal(size * self.draw.randint(1, 40)),
            ask_size=Decimal(size * self.draw.randint(1, 40)),
        )
        quotes.store([quote], now=datetime.now(UTC))
        clocks.set_clock(self.account, self.now)
        match([symbol], now=datetime.now(UTC))

    def signal(self, n):
        symbol = self.draw.choice(sorted(self.mids))
        kind = self.draw.choice(list(OrderType))
        tif = self.draw.choice(list(TimeInForce))
        if kind in {OrderType.STOP, OrderType.STOP_LIMIT}:
            tif = self.draw.choice((TimeInForce.DAY, TimeInForce.GTC))
        offset = self.draw.randint(-8, 8)
        prices = {}
        if kind in {OrderType.LIMIT, OrderType.STOP_LIMIT}:
            prices["limit_price"] = self.price(symbol, offset)
        if kind in {OrderType.STOP, OrderType.STOP_LIMIT}:
            prices["stop_price"] = self.price(symbol, self.draw.randint(-8, 8))
        if tif is TimeInForce.GTD:
            prices["expires_at"] = self.now + timedelta(seconds=self.draw.randint(1, 4_000))
        action = self.draw.choice((Action.BUY, Action.SELL, Action.BUY, Action.SELL, Action.EXIT))
        quantity = Decimal(self.draw.randint(1, 30) * (1_000 if symbol == "EURUSD" else 1))
        if action is Action.EXIT:
            kind, tif, prices, quantity = OrderType.MARKET, TimeInForce.DAY, {}, None
        return SignalRequest(
            signal_id=str(n),
            strategy=self.draw.choice(("one", "two")),
            account="paper",
            symbol=symbol,
            action=action,
            quantity=quantity,
            order_type=kind,
            time_in_force=tif,
            body={"n": n},
            **prices,
        )


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(3))
def test_the_books_balance_over_random_orders(seed, trader, account, valkey):
    draw = random.Random(seed)
    account.settings = {
        "slippage_basis_points": "2",
        "commission_basis_points": "0.7",
        "seed": seed,
    }
    account.save()
    clocks.set_clock(account, START)
    market, started = Market(draw, account), time.monotonic()
    sent = ordered = 0
    for _ in range(2):
        market.move()
    while ordered < ORDERS:
        market.move()
        outcome = submit_signal(market.signal(sent), client=trader, now=datetime.now(UTC))
        sent += 1
        if outcome.order_id:
            ordered += 1
            submission.transmit(outcome.order_id, now=datetime.now(UTC))
        venue_queries.follow("paper", account.pk, now=datetime.now(UTC))
        meddle(draw, market)
        if sent % 5_000 == 0:
            print(f"{sent} signals, {time.monotonic() - started:.0f} s", flush=True)

    while venue_queries.follow("paper", account.pk, now=datetime.now(UTC)):
        pass
    assert list(agreement.differences()) == []
    assert Fill.objects.count() > ORDERS / 4
    for symbol in market.mids:
        assert ours(symbol) == venues(symbol), symbol
    print(f"{Order.objects.count()} orders, {Fill.objects.count()} fills, seed {seed}")


def meddle(draw, market):
    """Now and then cancel or modify what works."""
    chance = draw.random()
    if chance > 0.4:
        return
    order = Order.objects.filter(status__in=OPEN, pending_action="NONE").order_by("pk").first()
    if order is None:
        return
    now = datetime.now(UTC)
    try:
        if chance < 0.3:
            request_cancel(order.pk, actor="test", now=now)
            venue_queries.cancel(order.pk, now=datetime.now(UTC))
        else:
            more = modify.Changes(quantity=order.quantity * 2)
            modify.request_replace(order.pk, more, actor="test", now=now)
            replacement.transmit(order.pk, now=datetime.now(UTC))
    except (NotCancellable, modify.NotModifiable, modify.ReplacementRefused):
        pass


def mark(symbol):
    return Instrument.objects.get(symbol=symbol).quote.mark


def ours(symbol):
    """Return what the engine says was made: realized and unrealized, less commission."""
    held = Position.objects.filter(instrument__symbol=symbol)
    return sum(
        Fraction(p.realized_pnl)
        + Fraction(unrealized_pnl(p.holding, mark=mark(symbol), multiplier=Decimal(1)))
        - Fraction(p.commission)
        for p in held
    )


def venues(symbol):
    """Return what the venue says: cash, less fees, and what is held at the mark."""
    held = PaperHolding.objects.get(symbol=symbol)
    worth = Fraction(held.quantity) * Fraction(mark(symbol))
    return Fraction(held.cash) - Fraction(held.fees) + worth
