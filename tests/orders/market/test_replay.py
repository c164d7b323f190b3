"""A replayed market: lock-step, its own clock, and the same fills every time.

The strategy here is in this process and the worker is called directly; the whole site, with real
processes and REST, is replayed in tests/chaos/test_replay_site.py.
"""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.contract import OrderType, QuoteUpdate, TimeInForce
from brokers.feeds.bar_path import as_path, trade_bar
from brokers.feeds.recorded import Arrival
from brokers.models import Instrument, MarketClock, Quote
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.market import replay_account
from orders.market.replay import AsFastAsItGoes, LeaseTaken, Recorded, Replay
from orders.market.replay_account import CannotReplay
from orders.models import Action, Fill, Order
from orders.reports import agreement
from orders.sending import submission

START = datetime(2014, 5, 8, 12, tzinfo=UTC)


def ticks(count, *, seed=1, start=START, seconds=1.0):
    """Return a walk of quotes with sizes, several of which share a time."""
    draw, mid, at, made = random.Random(seed), 10_000, start, []
    for line in range(count):
        mid += draw.randint(-8, 8)
        at += timedelta(seconds=draw.choice((0, seconds)))
        quote = QuoteUpdate(
            symbol="AAPL.R",
            as_of=at,
            bid=Decimal(mid - 2) / 100,
            ask=Decimal(mid + 2) / 100,
            bid_size=Decimal(draw.randint(1, 9)),
            ask_size=Decimal(draw.randint(1, 9)),
        )
        made.append(Arrival(line, at, (quote,)))
    return made


def bars(*shapes):
    """Return a bar of trades a minute: open, high, low, close."""
    made = []
    for line, shape in enumerate(shapes):
        at = START + timedelta(minutes=line)
        prices = as_path(*(Decimal(str(price)) for price in shape))
        made.append(Arrival(line, at, trade_bar("AAPL.R", at, prices, None)))
    return made


class Scripted:
    """Sends what a script says at its quotes: `{7: {"action": "BUY", ...}}`."""

    def __init__(self, script, client, account):
        self.script, self.client, self.account = script, client, account
        self.seen, self.outcomes = -1, []

    def see(self, update):
        self.seen += 1
        self.update = update
        return self.seen in self.script

    def go(self):
        values = {"order_type": OrderType.MARKET, **self.script[self.seen]}
        request = SignalRequest(
            signal_id=str(self.seen),
            strategy="scripted",
            account=self.account,
            symbol="AAPL.R",
            body={"n": self.seen},
            generated_at=self.update.as_of,
            **values,
        )
        outcome = submit_signal(request, client=self.client, now=datetime.now(UTC))
        self.outcomes.append(outcome)
        if outcome.order_id:
            submission.transmit(outcome.order_id, now=datetime.now(UTC))


SCRIPT = {
    5: {"action": Action.BUY, "quantity": Decimal(20)},
    20: {
        "action": Action.SELL,
        "quantity": Decimal(10),
        "order_type": OrderType.STOP,
        "stop_price": Decimal("99.80"),
    },
    30: {
        "action": Action.BUY,
        "quantity": Decimal(15),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("99.90"),
        "time_in_force": TimeInForce.GTC,
    },
    60: {
        "action": Action.SELL,
        "quantity": Decimal(30),
        "time_in_force": TimeInForce.IOC,
    },
    200: {"action": Action.EXIT},
}


@pytest.fixture
def replay(trader, valkey):
    """Replay arrivals in a new account: `replay(ticks(100), SCRIPT)`; return the account."""

    def go(arrivals, script=None, *, account=None, pace=None, settings=None):
        instrument = replay_account.instrument_for("AAPL.R", like="AAPL")
        connection = replay_account.account_for(
            account, instrument, zone="UTC", settings=settings or {"slippage_basis_points": "1"}
        )
        replay_account.begin(connection, [instrument], first=arrivals[0].at)
        client = replay_account.key_for(connection)[0].client
        strategy = Scripted(script or {}, client, connection.name)
        running = Replay(
            connection,
            [instrument],
            holder="test",
            strategy=strategy,
            pace=pace or AsFastAsItGoes(),
        )
        go.tally = running.tally
        try:
            assert len(list(running.play(arrivals))) == len(arrivals)
        finally:
            running.close()
        go.strategy = strategy
        return connection

    return go


def fills(connection):
    found = Fill.objects.filter(connection=connection).order_by("traded_at")
    return list(
        found.values_list("side", "quantity", "price", "commission", "liquidity", "traded_at")
    )


def test_two_replays_give_the_same_fills_and_everything_agrees(replay):
    first = replay(ticks(400), SCRIPT)
    second = replay(ticks(400), SCRIPT)

    assert [outcome.status for outcome in replay.strategy.outcomes] == [202] * 5
    assert len(fills(first)) > 8
    assert fills(first) == fills(second)
    assert list(agreement.differences()) == []


@pytest.mark.parametrize(
    ("_case", "before", "order", "bar", "expected"),
    [
        ("a stop inside", 8, ("BUY", "STOP", 10), (8, 12, "7.9", 8), "10.01"),
        ("a stop inside, sold", 105, ("SELL", "STOP", 100), (105, 106, 90, 105), "99.95"),
        ("a stop jumped over", 105, ("SELL", "STOP", 100), (90, 91, 89, 91), "89.95"),
        ("a limit inside", 100, ("BUY", "LIMIT", 95), (100, 101, 90, 100), "95"),
        ("a limit opened beyond", 100, ("BUY", "LIMIT", 95), (93, 101, 90, 100), "93"),
        ("a stop touched when it comes", 105, ("BUY", "STOP", 100), (90, 91, 89, 91), "105.06"),
    ],
)
def test_orders_fill_at_prices_that_a_bar_had(replay, _case, before, order, bar, expected):
    side, kind, price = order
    name = "stop_price" if kind == "STOP" else "limit_price"
    signal = {
        "action": Action[side],
        "quantity": Decimal(1),
        "order_type": OrderType[kind],
        name: Decimal(price),
    }

    runs = [
        fills(
            replay(
                bars((before,) * 4, bar),
                {0: signal},
                settings={"slippage_basis_points": "5"},
            )
        )
        for _ in range(2)
    ]

    assert runs[0] == runs[1]
    assert [price for _, _, price, *_ in runs[0]] == [Decimal(expected)]
    assert list(agreement.differences()) == []


def test_quotes_that_change_nothing_are_not_stored(replay):
    replay(ticks(2_000), {})

    assert replay.tally.quotes == 2_000
    assert replay.tally.stored < 40


def test_every_quote_is_held_against_working_orders(replay):
    """Stored or not: the first quote that reaches the limit fills, at its time."""
    arrivals = ticks(500, seed=3)
    limit = min(a.updates[0].ask for a in arrivals[10:])
    first = next(a for a in arrivals[10:] if a.updates[0].ask == limit)
    order = {
        "action": Action.BUY,
        "quantity": Decimal(1),
        "order_type": OrderType.LIMIT,
        "limit_price": limit,
    }

    connection = replay(arrivals, {9: order})

    ((_, _, price, _, liquidity, traded_at),) = fills(connection)
    assert (price, liquidity) == (limit, "MAKER")
    assert first.at <= traded_at < first.at + timedelta(milliseconds=1)


def test_everything_is_on_the_market_s_clock(replay):
    connection = replay(ticks(50), {5: {"action": Action.BUY, "quantity": Decimal(1)}})

    order = Order.objects.get(connection=connection)
    assert str(order.trading_date) == "2014-05-08"
    assert order.signal.decision.inputs["now"].startswith("2014-05-08")
    assert MarketClock.objects.get(connection=connection).now == ticks(50)[-1].at
    assert Quote.objects.get(instrument__symbol="AAPL.R").as_of == ticks(50)[-1].at


def test_a_day_order_expires_with_the_market_s_day(replay):
    order = {
        "action": Action.BUY,
        "quantity": Decimal(1),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal("1.00"),
    }
    arrivals = ticks(300, start=datetime(2014, 5, 8, 23, 59, tzinfo=UTC))

    connection = replay(arrivals, {5: order})

    assert arrivals[-1].at.day == 9
    assert Order.objects.get(connection=connection).status == "EXPIRED"


def test_seeded_chances_repeat(replay):
    model = {"fill_probability": "0.3", "slip_probability": "0.5", "seed": 7, "latency_ms": 1500}

    first = replay(ticks(400), SCRIPT, settings=model)
    second = replay(ticks(400), SCRIPT, settings=model)
    other = replay(ticks(400), SCRIPT, settings=model | {"seed": 8})

    assert fills(first) == fills(second) != fills(other)


def test_an_account_does_not_live_through_a_time_twice(replay):
    connection = replay(ticks(50))

    with pytest.raises(CannotReplay, match="past"):
        replay(ticks(50), account=connection.name)
    replay(ticks(50, start=START + timedelta(days=1)), account=connection.name)


def test_an_account_of_the_wall_s_clock_is_not_replayed(replay, send):
    send()

    with pytest.raises(CannotReplay, match="wall's clock"):
        replay(
            ticks(50),
            account="paper",
            settings={"slippage_basis_points": "0", "commission_basis_points": "1"},
        )


def test_a_live_market_is_not_touched(replay, quote):
    quote("AAPL", bid=1, ask=2)

    replay(ticks(50))

    assert Quote.objects.get(instrument__symbol="AAPL").ask == 2
    assert Instrument.objects.get(symbol="AAPL.R").tick_size == Decimal("0.01")


def test_one_account_is_replayed_by_one_process(replay):
    connection = replay(ticks(5))
    instrument = Instrument.objects.get(symbol="AAPL.R")
    pace = AsFastAsItGoes()
    first = Replay(connection, [instrument], holder="one", strategy=None, pace=pace)

    with pytest.raises(LeaseTaken):
        Replay(connection, [instrument], holder="two", strategy=None, pace=pace)
    first.close()


def test_the_recorded_pace_sleeps_and_tells_its_lag(monkeypatch):
    clock, slept = [100.0], []
    monkeypatch.setattr("orders.market.replay.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("orders.market.replay.time.sleep", slept.append)
    pace = Recorded(10)

    pace.wait(START)
    pace.wait(START + timedelta(seconds=5))
    assert slept == [0.5]
    clock[0] += 2
    pace.wait(START + timedelta(seconds=10))
    assert pace.lag == pytest.approx(1.0)


def test_what_does_not_agree_is_found(replay):
    connection = replay(ticks(400), SCRIPT)
    position = connection.position_set.get()
    position.realized_pnl += Decimal("0.0000000001")
    position.save()
    order = Order.objects.filter(connection=connection).first()
    Order.objects.filter(pk=order.pk).update(commission=order.commission + 1)

    found = " ".join(agreement.differences([connection.name]))

    assert "realized_pnl" in found
    assert f"order {order.pk}: commission" in found
