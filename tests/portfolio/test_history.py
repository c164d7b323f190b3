"""What charts are drawn from: bars keep every extreme, points say what an account had made."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.bars import Bar, BarBuilder
from brokers.contract import QuoteUpdate
from brokers.models import BrokerConnection, Instrument
from portfolio import history
from portfolio.history import PnlPoint
from portfolio.models import Position

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def quoted(price, *, seconds=0):
    return QuoteUpdate(symbol="AAPL", as_of=AT + timedelta(seconds=seconds), last=Decimal(price))


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 179)), min_size=1))
def test_a_bar_holds_every_price_of_its_minute(seen):
    seen = sorted(seen, key=lambda one: one[1])
    builder = BarBuilder()
    builder.see(quoted(price, seconds=second) for price, second in seen)

    for (_, minute), (first, high, low, last) in builder._bars.items():
        prices = [p for p, s in seen if AT + timedelta(seconds=s // 60 * 60) == minute]
        assert (first, high, low, last) == (prices[0], max(prices), min(prices), prices[-1])


def test_a_stored_bar_goes_on_after_a_restart(account):
    for prices in (("10", "12", "11"), ("9", "10")):
        builder = BarBuilder()
        builder.see(quoted(price) for price in prices)
        builder.flush()
        builder.flush()

    bar = Bar.objects.get()
    assert (bar.open, bar.high, bar.low, bar.close) == (10, 12, 9, 10)


@pytest.fixture
def held(account, quote):
    """Ten shares bought at 100, marked at 105, with one of commission."""
    quote("AAPL", bid=104, ask=106)
    return Position.objects.create(
        connection=account,
        strategy="alpha",
        instrument=Instrument.objects.get(symbol="AAPL"),
        quantity=10,
        cost=1000,
        realized_pnl=7,
        commission=1,
        folded_at=AT,
        updated_at=AT,
    )


def sample(account, at):
    history.sample(connection_id=account.pk, now=at, trading_date=account.trading_date(at))


def test_a_point_is_the_account_at_its_marks(held, account):
    sample(account, AT + timedelta(seconds=20))
    sample(account, AT + timedelta(seconds=40))

    point = PnlPoint.objects.get()
    assert (point.at, str(point.trading_date)) == (AT, "2026-11-20")
    assert (point.realized_pnl, point.unrealized_pnl, point.total_pnl) == (7, 50, 56)
    assert (point.gross_exposure, point.net_exposure, point.unmarked) == (1050, 1050, 0)


def test_a_short_position_counts_gross_and_net(held, account):
    Position.objects.update(quantity=-10, cost=-1000)
    sample(account, AT)

    point = PnlPoint.objects.get()
    assert (point.gross_exposure, point.net_exposure, point.unrealized_pnl) == (1050, -1050, -50)


def test_what_has_no_mark_is_counted_not_guessed(held, account):
    held.instrument.quote.delete()
    sample(account, AT)

    point = PnlPoint.objects.get()
    assert (point.unrealized_pnl, point.gross_exposure, point.unmarked) == (0, 0, 1)


def test_the_api_tells_days_apart_and_keeps_accounts_to_their_own(
    held, account, client, trader_key, outsider_key
):
    sample(account, AT - timedelta(days=1))
    Position.objects.update(realized_pnl=17)
    sample(account, AT)
    headers = {"Authorization": trader_key}

    (day,) = client.get("/api/v1/pnl/history", headers=headers).json()["results"]
    assert (day["day"], day["base"], day["total_pnl"]) == ("2026-11-20", "56", ["66"])
    by_day = client.get("/api/v1/pnl", headers=headers).json()["by_day"]
    assert [(row["day"], row["total_pnl"]) for row in by_day] == [
        ("2026-11-20", "10"),
        ("2026-11-19", "56"),
    ]
    (earlier,) = client.get("/api/v1/pnl/history?day=2026-11-19", headers=headers).json()["results"]
    assert earlier["base"] == "0"
    refused = client.get("/api/v1/pnl/history?day=soon", headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "day")
    headers["Authorization"] = outsider_key
    assert client.get("/api/v1/pnl/history", headers=headers).json()["results"] == []


def test_bars_by_the_api(client, trader_key, account):
    builder = BarBuilder()
    builder.see([quoted("10"), quoted("12", seconds=61)])
    builder.flush()

    bars = client.get("/api/v1/bars/AAPL", headers={"Authorization": trader_key}).json()

    assert (bars["day"], bars["close"]) == ("2026-11-20", ["10", "12"])
    assert bars["at"] == ["2026-11-20T12:00:00Z", "2026-11-20T12:01:00Z"]


def test_each_account_shows_its_own_latest_day(held, account, quote):
    """One may live in a replayed 2014 beside another in the present."""
    other = BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    sample(account, AT)
    Position.objects.update(connection=other)
    sample(other, AT - timedelta(days=4000))

    days = {p.connection.name: p.trading_date.year for p in history.of_day(["paper", "other"])}
    assert days == {"paper": 2026, "other": 2015}


def test_old_days_keep_their_last_point(held, account):
    for minute in range(3):
        sample(account, AT + timedelta(minutes=minute))

    history.prune(connection_id=account.pk, before=AT.date())
    assert PnlPoint.objects.count() == 3
    history.prune(connection_id=account.pk, before=AT.date() + timedelta(days=1))
    assert PnlPoint.objects.get().at == AT + timedelta(minutes=2)
