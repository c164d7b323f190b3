"""Every refusal: the codes, how the state that refuses comes about, what the signal says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from brokers.models import BrokerConnection, ContractTerms, ExchangeSession, Instrument
from portfolio.models import ClosedTrade, Position
from risk import control
from risk.facts import KillLevel, SystemMode
from risk.models import Breaker, DayResult, RiskLimit, SymbolRule, SystemControl


def limit(metric, value, **scope):
    return RiskLimit.objects.create(metric=metric, value=Decimal(str(value)), **scope)


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
    ExchangeSession.objects.create(
        exchange="NSE", trading_date=at.date(), opens_at=at, closes_at=at + timedelta(hours=6)
    )


def expired():
    instrument(expiry_date=datetime.now(UTC).date() - timedelta(days=1))


def unvalued(greek):
    """Make the share an option that nobody has valued."""

    def change():
        expiry = datetime.now(UTC).date() + timedelta(days=9)
        instrument(kind="OPTION", strike=100, right="CE", underlying="AAPL", expiry_date=expiry)
        limit(f"max_{greek}", 1_000_000)

    return change


def terms(**values):
    """Give the share other terms since an hour ago."""
    share = Instrument.objects.get(symbol="AAPL")
    since = datetime.now(UTC) - timedelta(hours=1)
    ContractTerms.objects.create(instrument=share, effective_from=since, **values)


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
            sequence=n,
            venue_trade_id=str(n),
            pnl=-1,
        )


NEVER_QUOTED = "ltp_missing quote_stale price_collar"
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
    ("expired", expired, {}),
    ("symbol_allowed", lambda: SymbolRule.objects.create(symbol="AAPL", rule="DENY"), {}),
    (NEVER_QUOTED, lambda: None, {"symbol": "EURUSD", "quantity": "1000"}),
    ("quote_stale", lambda: limit("quote_age_seconds", 0), {}),
    ("spread", lambda: limit("max_spread", 9), {}),
    ("liquidity", lambda: limit("liquidity", "0.1"), {}),
    ("price_collar", lambda: None, {"order_type": "LIMIT", "limit_price": "105.01"}),
    ("quantity_not_in_lots", lambda: None, {"quantity": "1.5"}),
    ("quantity_not_in_lots", lambda: terms(lot_size=75), {"quantity": "100"}),
    ("freeze_quantity", lambda: terms(lot_size=1, freeze_quantity=9), {}),
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
    ("max_delta", lambda: limit("max_delta", 9), {}),
    *((f"max_{name}", unvalued(name), {}) for name in ("gamma", "vega", "theta", "rho")),
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
