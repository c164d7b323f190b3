"""What can be limited: each metric with its unit, the scopes it makes sense in, and its default."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from brokers.instruments.kinds import InstrumentKind


class Metric(StrEnum):
    """What a limit bounds."""

    SIGNAL_AGE_SECONDS = "signal_age_seconds"
    QUOTE_AGE_SECONDS = "quote_age_seconds"
    CLOCK_OFFSET_SECONDS = "clock_offset_seconds"
    MAX_SPREAD = "max_spread"
    PRICE_COLLAR = "price_collar"
    LIQUIDITY = "liquidity"
    MAX_ORDER_QUANTITY = "max_order_quantity"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    MAX_POSITION = "max_position"
    MAX_OPEN_ORDERS = "max_open_orders"
    MAX_GROSS_EXPOSURE = "max_gross_exposure"
    CONCENTRATION = "concentration"
    MARGIN_CUSHION = "margin_cushion"
    DAILY_TRADES = "daily_trades"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    ORDERS_PER_SECOND = "orders_per_second"
    ORDERS_PER_MINUTE = "orders_per_minute"
    DUPLICATE_WINDOW = "duplicate_window"
    MAX_DELTA = "max_delta"
    MAX_GAMMA = "max_gamma"
    MAX_VEGA = "max_vega"
    MAX_THETA = "max_theta"
    MAX_RHO = "max_rho"
    MAX_GROUP_LOSS = "max_group_loss"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A metric's unit, and which parts of a scope it understands.

    `shared`: orders in different instruments take from one limit, which they therefore lock.
    """

    unit: str
    scopes: frozenset[str]
    shared: bool = False


ANY = frozenset({"account", "strategy", "symbol", "underlying"})
BY_ACCOUNT = frozenset({"account"})
BY_STRATEGY = frozenset({"account", "strategy"})
MEANINGS: Mapping[Metric, Meaning] = {
    Metric.SIGNAL_AGE_SECONDS: Meaning("seconds", ANY),
    Metric.QUOTE_AGE_SECONDS: Meaning("seconds", ANY),
    Metric.CLOCK_OFFSET_SECONDS: Meaning("seconds", BY_ACCOUNT),
    Metric.MAX_SPREAD: Meaning("basis points of the mid", ANY),
    Metric.PRICE_COLLAR: Meaning("basis points of the mid", ANY),
    Metric.LIQUIDITY: Meaning("times the size quoted at the touch", ANY),
    Metric.MAX_ORDER_QUANTITY: Meaning("units", ANY),
    Metric.MAX_ORDER_NOTIONAL: Meaning("money", ANY),
    Metric.MAX_POSITION: Meaning("units", ANY),
    Metric.MAX_OPEN_ORDERS: Meaning("orders", ANY, shared=True),
    Metric.MAX_GROSS_EXPOSURE: Meaning("money", ANY, shared=True),
    Metric.CONCENTRATION: Meaning("share of capital", BY_ACCOUNT, shared=True),
    Metric.MARGIN_CUSHION: Meaning("times the margin", BY_ACCOUNT, shared=True),
    Metric.DAILY_TRADES: Meaning("orders", BY_STRATEGY, shared=True),
    Metric.DAILY_LOSS: Meaning("money", BY_STRATEGY),
    Metric.DRAWDOWN: Meaning("money", BY_STRATEGY),
    Metric.LOSS_STREAK: Meaning("losing trades in a row", BY_STRATEGY),
    Metric.ORDERS_PER_SECOND: Meaning("orders", BY_ACCOUNT),
    Metric.ORDERS_PER_MINUTE: Meaning("orders", BY_ACCOUNT),
    Metric.DUPLICATE_WINDOW: Meaning("seconds", ANY),
    Metric.MAX_DELTA: Meaning("units of the underlying", ANY, shared=True),
    Metric.MAX_GAMMA: Meaning("delta per 1.0 of the underlying", ANY, shared=True),
    Metric.MAX_VEGA: Meaning("money per volatility point", ANY, shared=True),
    Metric.MAX_THETA: Meaning("money per calendar day", ANY, shared=True),
    Metric.MAX_RHO: Meaning("money per percentage point of the rate", ANY, shared=True),
    Metric.MAX_GROUP_LOSS: Meaning("money", frozenset({"account", "strategy", "underlying"})),
}
#: Limits on what the book reacts to, and the Greek of each.
GREEK_OF: Mapping[Metric, str] = {
    Metric.MAX_DELTA: "delta",
    Metric.MAX_GAMMA: "gamma",
    Metric.MAX_VEGA: "vega",
    Metric.MAX_THETA: "theta",
    Metric.MAX_RHO: "rho",
}

#: What is counted: a fraction of it means nothing.
COUNTS = frozenset(
    {
        Metric.MAX_OPEN_ORDERS,
        Metric.DAILY_TRADES,
        Metric.LOSS_STREAK,
        Metric.ORDERS_PER_SECOND,
        Metric.ORDERS_PER_MINUTE,
    }
)
#: With these a larger value is the stricter one.
STRICTER_UP = frozenset({Metric.MARGIN_CUSHION, Metric.DUPLICATE_WINDOW})

#: Without a limit these have a default, whose place a limit takes.
DEFAULTED = frozenset(
    {
        Metric.SIGNAL_AGE_SECONDS,
        Metric.QUOTE_AGE_SECONDS,
        Metric.CLOCK_OFFSET_SECONDS,
        Metric.MAX_SPREAD,
        Metric.PRICE_COLLAR,
    }
)
#: These make orders wait for their turn at the grant; no verdict is made by them.
PACED = frozenset({Metric.ORDERS_PER_SECOND, Metric.ORDERS_PER_MINUTE})

DEFAULT_QUOTE_AGE = Decimal(10)
DEFAULT_SIGNAL_AGE = Decimal(300)
DEFAULT_CLOCK_OFFSET = Decimal("0.5")
#: Basis points of the mid, by what is traded; a limit that applies takes its place.
DEFAULT_SPREAD: Mapping[InstrumentKind, Decimal] = {
    InstrumentKind.FX: Decimal(50),
    InstrumentKind.CRYPTO: Decimal(200),
    InstrumentKind.PERPETUAL: Decimal(200),
    InstrumentKind.EQUITY: Decimal(300),
    InstrumentKind.FUTURE: Decimal(300),
    InstrumentKind.INDEX: Decimal(300),
    InstrumentKind.OPTION: Decimal(2_000),
}
DEFAULT_COLLAR: Mapping[InstrumentKind, Decimal] = {
    InstrumentKind.FX: Decimal(200),
    InstrumentKind.CRYPTO: Decimal(500),
    InstrumentKind.PERPETUAL: Decimal(500),
    InstrumentKind.EQUITY: Decimal(500),
    InstrumentKind.FUTURE: Decimal(500),
    InstrumentKind.INDEX: Decimal(500),
    InstrumentKind.OPTION: Decimal(2_000),
}
