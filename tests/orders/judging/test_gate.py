"""The gate through REST: every refusal, limits of every scope, and verdicts made again."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from brokers import clocks
from brokers.models import BrokerConnection, Instrument, MarketClock, Quote
from orders import order_state
from orders.control import limit_use
from orders.models import Order
from orders.reports import agreement
from portfolio.models import Position
from risk import days
from risk.checks import CHECKS
from risk.models import DayResult, RiskLimit, RiskUsage
from tests.orders.api.refusal_cases import REFUSALS, connection, hold, limit

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


def codes(answer):
    assert answer.status_code == 422, answer.json()
    return {error["code"] for error in answer.json()["errors"]}


@pytest.mark.parametrize(("expected", "arrange", "values"), REFUSALS)
def test_every_refusal_is_reached_through_rest_and_makes_its_verdict_again(
    market, expected, arrange, values
):
    arrange()

    assert codes(market(**values)) == set(expected.split())
    assert not Order.objects.exists()
    call_command("rejudge", verbosity=0)


def test_no_paper_venue_can_be_called_live(market):
    with pytest.raises(IntegrityError, match="paper_broker_is_paper_environment"):
        connection(environment="live")


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


def test_a_count_is_limited_to_whole_numbers():
    with pytest.raises(ValidationError, match="daily_trades is a whole number"):
        RiskLimit(metric="daily_trades", value=Decimal("0.5")).clean()
    RiskLimit(metric="max_position", value=Decimal("0.5")).clean()


def test_what_is_refused_nowhere_else_in_this_file():
    reached = {code for codes, _, _ in REFUSALS for code in codes.split()}
    reached |= {"duplicate_order", "self_trade"}
    reached |= {"max_group_loss"}  # of groups alone: test_groups.py
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
        order_state.fail(absent, "proved_absent")
        order_state.save(absent, now=datetime.now(UTC))
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
        page = console.post(url, {"metric": row.metric, "value": value})
        return " ".join(page.content.decode().split())

    assert "<strong>2 of 3</strong> orders" in preview("15")
    assert "<strong>0 of 3</strong> orders" in preview("30")
    assert "limit_not_negative" in preview("-1")
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
