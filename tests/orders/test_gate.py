"""The gate through REST: every refusal, limits of every scope, and verdicts made again."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse

from brokers import clocks
from brokers.models import BrokerConnection, ExchangeSession, Instrument, MarketClock, Quote
from orders import agreement, entries, limit_use
from orders.models import Order
from portfolio.models import ClosedTrade, Position
from risk import control, days
from risk.checks import CHECKS
from risk.facts import KillLevel, SystemMode
from risk.models import Breaker, DayResult, RiskLimit, RiskUsage, SymbolRule, SystemControl

FINE = {
    "strategy": "alpha",
    "account": "paper",
    "symbol": "AAPL",
    "action": "BUY",
    "quantity": "10",
}


@pytest.fixture
def market(quote, account, trader_key, valkey):
    """A book of 99.95 to 100.05; returns what posts a signal."""
    quote("AAPL", bid="99.95", ask="100.05", bid_size=50, ask_size=50)
    client, count = Client(headers={"authorization": trader_key}), iter(range(10**6))

    def send(**values):
        body = FINE | {"signal_id": f"s{next(count)}"} | values
        body = {name: value for name, value in body.items() if value is not None}
        return client.post("/api/v1/signals", json.dumps(body), content_type="application/json")

    return send


def limit(metric, value, **scope):
    return RiskLimit.objects.create(metric=metric, value=Decimal(str(value)), **scope)


def codes(answer):
    assert answer.status_code == 422, answer.json()
    return {error["code"] for error in answer.json()["errors"]}


def instrument(**values):
    Instrument.objects.filter(symbol="AAPL").update(**values)


def connection(**values):
    BrokerConnection.objects.filter(name="paper").update(**values)


def guide():
    SystemControl.objects.update(mode=SystemMode.GUIDE)


def kill():
    now = datetime.now(UTC)
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="drill", now=now)


def session():
    at = datetime.now(UTC) + timedelta(hours=1)
    instrument(exchange="NSE")
    ExchangeSession.objects.create(exchange="NSE", opens_at=at, closes_at=at + timedelta(hours=6))


def live():
    connection(broker="paper", environment="live")


def lost(amount):
    """Book a day's result as the market loop does."""
    paper = BrokerConnection.objects.get()
    now = datetime.now(UTC)
    DayResult.objects.create(
        connection=paper,
        currency="USD",
        trading_date=paper.trading_date(now),
        base_pnl=0,
        pnl=-amount,
        peak_pnl=0,
        evaluated_at=now,
    )


def losing(count):
    paper, share = BrokerConnection.objects.get(), Instrument.objects.get(symbol="AAPL")
    for n in range(count):
        ClosedTrade.objects.create(
            connection=paper,
            strategy="alpha",
            instrument=share,
            closed_at=datetime.now(UTC) + timedelta(seconds=n),
            venue_trade_id=str(n),
            pnl=-1,
        )


REFUSALS = [
    ("system_mode", guide, {}),
    ("kill_switch", kill, {}),
    (
        "breaker",
        lambda: Breaker.objects.create(kind="venue_errors", threshold=1, state="TRIPPED"),
        {},
    ),
    ("connection_enabled", lambda: connection(is_enabled=False), {}),
    ("reconciling", lambda: connection(is_reconciling=True), {}),
    ("signal_age", lambda: None, {"generated_at": "2026-01-01T00:00:00Z"}),
    ("clock_offset", lambda: connection(clock_offset=1), {}),
    ("market_open", session, {}),
    ("symbol_tradable", lambda: instrument(is_tradable=False), {}),
    ("symbol_allowed", lambda: SymbolRule.objects.create(symbol="AAPL", rule="DENY"), {}),
    ("ltp_missing", lambda: None, {"symbol": "EURUSD", "quantity": "1000"}),
    ("quote_stale", lambda: limit("quote_age_seconds", 0), {}),
    ("spread", lambda: limit("max_spread", 9), {}),
    ("liquidity", lambda: limit("liquidity", "0.1"), {}),
    ("price_collar", lambda: None, {"order_type": "LIMIT", "limit_price": "105.01"}),
    ("quantity_not_in_lots", lambda: None, {"quantity": "1.5"}),
    ("price_off_tick", lambda: None, {"order_type": "LIMIT", "limit_price": "100.001"}),
    ("freeze_quantity", lambda: instrument(freeze_quantity=9), {}),
    ("min_notional", lambda: instrument(min_notional=5000), {}),
    ("max_order_quantity", lambda: limit("max_order_quantity", 9), {}),
    ("max_order_notional", lambda: limit("max_order_notional", 1000), {}),
    ("max_position", lambda: limit("max_position", 9), {}),
    ("max_open_orders", lambda: limit("max_open_orders", 0), {}),
    ("max_gross_exposure", lambda: limit("max_gross_exposure", 1000), {}),
    ("concentration", lambda: limit("concentration", 1), {}),
    ("margin", lambda: (limit("margin_cushion", "1.5"), connection(capital=1000)), {}),
    ("daily_trades", lambda: limit("daily_trades", 0), {}),
    ("daily_loss", lambda: (limit("daily_loss", 100), lost(100)), {}),
    ("drawdown", lambda: (limit("drawdown", 100), lost(100)), {}),
    ("loss_streak", lambda: (limit("loss_streak", 3), losing(3)), {}),
    ("nothing_to_close", lambda: None, {"action": "EXIT", "quantity": None}),
    ("exceeds_closable", lambda: hold(5), {"action": "EXIT", "quantity": "6"}),
]


def hold(quantity):
    Position.objects.create(
        connection=BrokerConnection.objects.get(),
        strategy="alpha",
        instrument=Instrument.objects.get(symbol="AAPL"),
        quantity=quantity,
        cost=quantity * 100,
        updated_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(("code", "arrange", "values"), REFUSALS)
def test_every_refusal_is_reached_through_rest_and_makes_its_verdict_again(
    market, code, arrange, values
):
    arrange()

    answer = market(**values)
    assert code in codes(answer)
    assert codes(answer) <= {code, "price_collar", "quote_stale", "nothing_to_close"}
    assert not Order.objects.exists()
    call_command("rejudge", verbosity=0)


def test_live_trading_must_be_switched_on(market, monkeypatch):
    with pytest.raises(Exception, match="paper_broker_is_paper_environment"):
        live()


def test_the_same_order_again_within_the_window_is_refused(market):
    limit("duplicate_window", 60)

    assert market().status_code == 202
    assert codes(market()) == {"duplicate_order"}
    assert market(quantity="11").status_code == 202


def test_an_order_that_would_meet_our_own_is_refused(market):
    assert market(order_type="LIMIT", limit_price="99.90").status_code == 202

    crossing = {"action": "SELL", "order_type": "LIMIT", "strategy": "beta"}
    assert codes(market(**crossing, limit_price="99.90")) == {"self_trade"}
    assert market(**crossing, limit_price="99.91").status_code == 202


def test_what_is_refused_nowhere_else_in_this_file():
    reached = {code for code, _, _ in REFUSALS} | {"duplicate_order", "self_trade"}
    names = {"ltp_missing": "market_data_present", "quote_stale": "quote_fresh"}
    names |= dict.fromkeys(("quantity_not_in_lots", "price_off_tick"), "tick_and_lot")
    names |= dict.fromkeys(("nothing_to_close", "exceeds_closable"), "reduce_only")

    left = {rule.__name__ for rule in CHECKS} - {names.get(code, code) for code in reached}
    assert left == {"live_trading_enabled"}  # no venue of this build is live: its table tests it


def test_a_limit_binds_its_scope_and_nothing_else(market, quote):
    quote("EURUSD", bid="1.1", ask="1.1")
    for scope in (
        {"strategy": "beta"},
        {"symbol": "EURUSD"},
        {"underlying": "EURUSD"},
        {"effective_from": datetime.now(UTC) + timedelta(hours=1)},
        {"effective_until": datetime.now(UTC) - timedelta(hours=1)},
    ):
        limit("max_order_quantity", 1, **scope)

    assert market().status_code == 202
    assert codes(market(strategy="beta")) == {"max_order_quantity"}
    assert codes(market(symbol="EURUSD", quantity="1000")) == {"max_order_quantity"}


def test_exposure_counts_what_is_held_and_what_works_and_the_api_says_how_much(
    market, trader_key, risk_manager
):
    limit("max_gross_exposure", 10_000, note="all of it")
    hold(20)
    assert market(order_type="LIMIT", limit_price="99").status_code == 202
    book = limit_use.load(["paper"])
    used = limit_use.use(RiskLimit.objects.get(), book)
    assert used == 30 * 100  # 20 held and 10 working, at the mid

    assert codes(market(quantity="66")) == {"max_gross_exposure"}  # 96 x 100.05 x 1.05
    assert market(quantity="65").status_code == 202
    said = Client(headers={"authorization": trader_key}).get("/api/v1/limits").json()
    assert said["results"][0]["used"] == str(95 * Decimal("105.0525")).rstrip("0")


def test_a_fill_moves_what_an_order_took_into_the_position(market, send):
    limit("max_gross_exposure", 10_000)
    send("BUY", 10)

    used = limit_use.use(RiskLimit.objects.get(), limit_use.load(["paper"]))
    assert used == 10 * 100
    assert not Order.objects.open().exists()


def test_only_an_order_that_never_arrived_gives_its_trade_back(market, send):
    send("BUY", 10)
    rejected = Order.objects.get(pk=send("BUY", 10, transmit=False).order_id)
    for status in ("SUBMITTING", "REJECTED"):
        Order.objects.filter(pk=rejected.pk).update(status=status)
    absent = Order.objects.get(pk=send("BUY", 10, transmit=False).order_id)
    assert RiskUsage.objects.get().used == 3

    Order.objects.filter(pk=absent.pk).update(status="SUBMITTING")
    absent.refresh_from_db()
    with transaction.atomic():
        entries.fail(absent, "proved_absent")
        entries.save(absent, now=datetime.now(UTC))
    assert RiskUsage.objects.get().used == 2
    assert not [said for said in agreement.differences(["paper"]) if "counted" in said]
    RiskUsage.objects.update(used=7)
    said = [said for said in agreement.differences(["paper"]) if "counted" in said]
    assert "trades are counted, 2 were made" in said[0]


def test_a_verdict_names_the_limits_and_their_versions(market):
    row = limit("max_order_quantity", 10)
    row.value = 9
    row.save()

    decision = market().json()["decision"]
    stored = Order.objects.count(), row.version
    assert stored == (0, 2)
    failed = [c for c in decision["checks"] if c["status"] == "FAILED"]
    assert [(c["name"], c["limit"]) for c in failed] == [("max_order_quantity", "9")]


def test_a_days_result_begins_where_the_day_before_ended(account, quote):
    quote("AAPL", bid=99, ask=101)
    hold(10)
    now = datetime.now(UTC)
    day = account.trading_date(now)
    days.evaluate(connection_id=account.pk, now=now, trading_date=day)
    quote("AAPL", bid=109, ask=111)
    days.evaluate(connection_id=account.pk, now=now, trading_date=day)
    quote("AAPL", bid=104, ask=106)
    days.evaluate(connection_id=account.pk, now=now, trading_date=day)

    account_day = DayResult.objects.get(strategy="")
    assert (account_day.day_pnl, account_day.below_peak) == (50, 50)
    tomorrow = day + timedelta(days=1)
    days.evaluate(connection_id=account.pk, now=now, trading_date=tomorrow)
    assert DayResult.objects.get(strategy="alpha").day_pnl == 0


def test_the_console_says_what_another_value_would_have_refused(market, risk_manager):
    row = limit("max_order_quantity", 100)
    for quantity in ("10", "20", "30", "1.5"):
        market(quantity=quantity)
    console = Client()
    console.force_login(risk_manager)

    def preview(value):
        url = reverse("admin:risk_risklimit_change", args=[row.pk])
        page = console.get(url, {"preview_value": value, "preview_days": "7"})
        return " ".join(page.content.decode().split())

    assert "<strong>2 of 3</strong> orders" in preview("15")
    assert "<strong>0 of 3</strong> orders" in preview("30")
    assert "Ensure this value is greater than or equal to 0" in preview("-1")
    row.refresh_from_db()
    assert row.value == 100


def test_with_a_frozen_feed_every_signal_is_refused_after_the_threshold(market, quote):
    """Row 28 of the fault matrix: stale market data."""
    at = datetime.now(UTC) - timedelta(seconds=10)
    Quote.objects.update(as_of=at)

    for _ in range(100):
        assert codes(market()) == {"quote_stale"}
    assert not Order.objects.exists()


def test_a_limit_over_all_accounts_leaves_replayed_ones_out(market, quote):
    live = BrokerConnection.objects.get()
    replayed = BrokerConnection.objects.create(name="replay-1", broker="paper", environment="paper")
    clocks.set_clock(replayed, datetime(2014, 5, 8, tzinfo=UTC))
    Position.objects.create(
        connection=replayed,
        strategy="cross",
        instrument=Instrument.objects.get(symbol="EURUSD"),
        quantity=10**6,
        cost=10**6,
        updated_at=datetime.now(UTC),
    )
    quote("EURUSD", bid="1.1", ask="1.1")
    row = limit("max_gross_exposure", 2000)

    assert market().status_code == 202
    assert limit_use.use(row, limit_use.load([live.name, "replay-1"])) == Decimal("1050.525")
    MarketClock.objects.all().delete()
    assert codes(market()) == {"max_gross_exposure"}
