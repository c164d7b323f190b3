"""What a day has lost begins at its roll: histories x scopes x clocks, by gate and breakers.

Each history ends at noon, six hours after the account's day has rolled.
"""

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from brokers import clocks, quotes
from brokers.bars import BarBuilder
from brokers.contract import FillReport, Liquidity, OrderReport, QuoteUpdate, Side, VenueStatus
from brokers.models import Instrument
from orders.booking import venue_reports
from orders.control import breakers, limit_use
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.models import Order
from portfolio.models import Position
from risk import days
from risk.gate import judge
from risk.limits import Metric
from risk.models import Breaker, DayResult, RiskLimit

BUY, SELL = Side.BUY, Side.SELL
HOUR = timedelta(hours=1)
PAST = datetime(2025, 3, 4, 12, tzinfo=UTC)
LOSSES = (Metric.DAILY_LOSS, Metric.DRAWDOWN)
_numbers = itertools.count(1)


@dataclass
class Desk:
    """A strategy's account, whose day has rolled six hours before `noon`."""

    account: object
    noon: datetime

    def at(self, hours):
        """Return a time by its distance to the roll."""
        return self.noon + (hours - 6) * HOUR

    def trade(self, side, quantity, price, hours, *, strategy="alpha", symbol="AAPL", fee=0):
        """Book a fill that was dealt `hours` after the roll."""
        number, at = next(_numbers), self.at(hours)
        order = Order.objects.create(
            origin="SIGNAL",
            client_order_id=f"o{number}",
            connection=self.account,
            strategy=strategy,
            instrument=Instrument.objects.get(symbol=symbol),
            side=side.value,
            order_type="MARKET",
            time_in_force="DAY",
            quantity=quantity,
            status="ACCEPTED",
            trading_date=self.account.trading_date(at),
            created_at=at,
            updated_at=at,
            claimed_at=at,
        )
        fill = FillReport(
            client_order_id=order.client_order_id,
            venue_order_id=f"v{number}",
            venue_trade_id=str(number),
            symbol=symbol,
            side=side,
            quantity=Decimal(quantity),
            price=Decimal(price),
            commission=Decimal(fee),
            commission_currency=order.instrument.currency,
            liquidity=Liquidity.TAKER,
            traded_at=at,
        )
        report = OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=f"v{number}",
            status=VenueStatus.FILLED,
            filled_quantity=Decimal(quantity),
            reported_at=at,
            fills=(fill,),
        )
        venue_reports.book("paper", [report], now=datetime.now(UTC))

    def mark(self, price, hours, *, symbol="AAPL", barred=True):
        """Quote a symbol, and keep its bar as the market loop does."""
        update = QuoteUpdate(
            symbol=symbol, as_of=self.at(hours), bid=Decimal(price), ask=Decimal(price)
        )
        quotes.store([update], now=datetime.now(UTC))
        if barred:
            builder = BarBuilder()
            builder.see([update])
            builder.flush()

    def watch(self, hours):
        """Work out the day as the market loop does."""
        at = self.at(hours)
        day = self.account.trading_date(at)
        days.evaluate(connection_id=self.account.pk, now=at, trading_date=day)


@pytest.fixture(params=["wall", "replayed"])
def desk(request, account, valkey):
    now = datetime.now(UTC) if request.param == "wall" else PAST
    rolled = (now - 6 * HOUR).replace(second=0, microsecond=0)
    account.day_roll_time, account.day_roll_zone = rolled.time(), "UTC"
    account.save()
    Instrument.objects.create(
        symbol="SAP", kind="EQUITY", currency="EUR", tick_size=Decimal("0.01"), lot_size=1
    )
    if request.param == "replayed":
        clocks.set_clock(account, now)
    return Desk(account, rolled + 6 * HOUR)


def never_traded(desk):
    desk.mark(100, 6)


def first_fill_loses(desk):
    desk.mark(100, 5)
    desk.watch(5)
    desk.trade(BUY, 10, 100, 5.5, fee=1)
    desk.mark(90, 6)


def first_fill_loses_and_is_closed(desk):
    desk.trade(BUY, 10, 100, 5, fee=1)
    desk.trade(SELL, 10, 90, 5.5, fee=1)
    desk.mark(70, 6)


def first_fill_wins_then_falls(desk):
    desk.trade(BUY, 10, 100, 5)
    desk.mark(104, 5)
    desk.watch(5)
    desk.mark(97, 6)


def traded_yesterday_and_flat(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.trade(SELL, 10, 80, -4)
    desk.mark(80, -4)
    desk.watch(-4)
    desk.mark(70, 6)


def flat_yesterday_and_loses_today(desk):
    traded_yesterday_and_flat(desk)
    desk.watch(6)
    desk.trade(BUY, 10, 75, 5.9)


def holds_over_the_roll(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(95, -1)
    desk.watch(-1)
    desk.mark(94, 1)
    desk.watch(1)
    desk.mark(85, 6)


def holds_over_the_roll_and_sells_today(desk):
    holds_over_the_roll(desk)
    desk.trade(SELL, 10, 84, 6)


def loop_down_over_the_roll(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(99, -5)
    desk.watch(-5)
    desk.mark(95, -4)  # the last mark; the loop dies, and a worker books
    desk.trade(BUY, 10, 96, -1)
    desk.trade(SELL, 5, 90, 2)
    desk.mark(85, 6)


def held_for_days(desk):
    desk.trade(BUY, 10, 100, -100)
    desk.mark(120, -100)
    desk.watch(-100)
    desk.mark(95, -30)
    desk.mark(85, 6)


def an_old_quote_is_the_mark_of_the_roll(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(95, -4, barred=False)


def arrives_late(desk):
    holds_over_the_roll(desk)
    desk.watch(6)
    desk.trade(BUY, 10, 97, -2)  # yesterday's loss of 20 is yesterday's


def seen_yesterday_and_no_bars(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(95, -1, barred=False)
    desk.watch(-1)
    desk.mark(85, 6, barred=False)


def no_mark_from_before(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(90, 6)


def turns_round_today(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.mark(95, -1)
    desk.trade(SELL, 20, 90, 3)
    desk.mark(93, 6)


def two_currencies(desk):
    desk.trade(BUY, 10, 100, 5, symbol="SAP")
    desk.mark(107, 6, symbol="SAP")
    desk.trade(BUY, 10, 100, 5)
    desk.mark(90, 6)


@pytest.mark.parametrize(
    ("history", "lost", "fallen"),
    [
        (never_traded, 0, 0),
        (first_fill_loses, 101, 101),
        (first_fill_loses_and_is_closed, 102, 102),
        (first_fill_wins_then_falls, 30, 70),
        (traded_yesterday_and_flat, 0, 0),
        (flat_yesterday_and_loses_today, 50, 50),
        (holds_over_the_roll, 100, 100),
        (holds_over_the_roll_and_sells_today, 110, 110),
        (loop_down_over_the_roll, 175, 175),
        (held_for_days, 100, 100),
        (an_old_quote_is_the_mark_of_the_roll, 0, 0),
        (arrives_late, 200, 200),
        (seen_yesterday_and_no_bars, 100, 100),
        (no_mark_from_before, 100, 100),
        (turns_round_today, 80, 80),
        (two_currencies, 100, 100),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_the_day_has_lost(desk, history, lost, fallen):
    history(desk)
    wall = clocks.replayed() == {}
    scopes = [{"connection": desk.account}, {"connection": desk.account, "strategy": "alpha"}]
    if wall:
        scopes += [{}, {"strategy": "alpha"}]
    expected = {Metric.DAILY_LOSS: lost, Metric.DRAWDOWN: fallen}
    for metric, scope, apart in itertools.product(LOSSES, scopes, (-1, 0, 1)):
        if (value := expected[metric] + apart) > 0:
            since = datetime(2020, 1, 2 + apart, tzinfo=UTC)  # so that they are not one limit
            RiskLimit.objects.create(metric=metric, value=value, effective_from=since, **scope)
    for metric, scope in itertools.product(LOSSES, scopes):
        Breaker.objects.create(kind=metric.value, threshold=10**6, **scope)
    now = datetime.now(UTC)
    ends = now if wall else desk.noon
    day = desk.account.trading_date(ends)
    days.evaluate(connection_id=desk.account.pk, now=ends, trading_date=day)

    verdict = judge(_facts(day))

    checks = [c for c in verdict.checks if c.name in expected]
    assert len(checks) == RiskLimit.objects.count()
    for check in checks:
        assert Decimal(check.value) == expected[Metric(check.name)]
        assert (check.status == "PASSED") is (Decimal(check.value) < Decimal(check.limit))
    book = limit_use.load(["paper"])
    for row in RiskLimit.objects.select_related("connection"):
        assert limit_use.use(row, book) == expected[Metric(row.metric)], row
    breakers.evaluate(now=datetime.now(UTC))
    for row in Breaker.objects.all():
        assert row.value == expected[Metric(row.kind)], row


def _facts(day):
    """Return what a verdict on one share of AAPL would be made of."""
    wanted = Proposed(
        account="paper", strategy="alpha", symbol="AAPL", side=BUY, quantity=Decimal(1)
    )
    case = gather.open_case(wanted, OrderSpec(client="rest"), now=datetime.now(UTC))
    with transaction.atomic():
        (case,) = gather.lock([replace(case, day=day)])
        return gather.facts_for(case, gather.read(case))


def test_the_account_is_the_sum_of_its_strategies_and_each_is_by_itself(desk):
    desk.trade(BUY, 10, 100, -5)
    desk.trade(BUY, 10, 100, -5, strategy="beta")
    desk.mark(95, -1)
    desk.watch(-1)
    desk.trade(SELL, 10, 96, 3, strategy="beta")
    desk.trade(SELL, 3, 96, 3, strategy="gamma")
    desk.mark(90, 6)
    desk.watch(6)

    made = {row.strategy: row.day_pnl for row in DayResult.objects.all()}
    assert made == {"alpha": -50, "beta": 10, "gamma": 18, "": -22}


def test_a_currency_that_was_never_traded_has_lost_nothing(desk):
    desk.trade(BUY, 1, 100, 5, symbol="SAP")
    desk.mark(90, 6, symbol="SAP")
    desk.watch(6)
    RiskLimit.objects.create(metric=Metric.DAILY_LOSS, value=1, strategy="alpha")

    (check,) = [
        c
        for c in judge(_facts(desk.account.trading_date(desk.noon))).checks
        if c.name == "daily_loss"
    ]

    assert (check.status, check.value) == ("PASSED", "0")


def test_a_peak_moves_with_what_yesterday_turns_out_to_have_made(desk):
    desk.trade(BUY, 10, 100, 3)
    desk.mark(105, 4)
    desk.watch(4)
    desk.mark(102, 5)
    desk.watch(5)
    desk.trade(BUY, 1, 50, -5)
    desk.trade(SELL, 1, 90, -4)  # 40 more, of yesterday
    desk.watch(5)

    row = DayResult.objects.get(strategy="alpha")
    assert (row.base_pnl, row.day_pnl, row.below_peak) == (40, 20, 30)
    assert Position.objects.get().opening.realized_pnl == 40
