"""What a verdict is made of, as one value that is stored with it and read back exactly."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

import msgspec

from brokers.contract import OrderType, Side
from brokers.instruments.kinds import InstrumentKind, decimal_text
from risk.limits import DEFAULT_SIGNAL_AGE, STRICTER_UP, Metric

ZERO = Decimal(0)


class SystemMode(StrEnum):
    """GUIDE refuses signals; SUPERVISED asks a person; AUTONOMOUS sends what risk admits."""

    GUIDE = "GUIDE"
    SUPERVISED = "SUPERVISED"
    AUTONOMOUS = "AUTONOMOUS"


class Change(StrEnum):
    """What new terms do to a working order. What narrows is judged by its size alone."""

    WIDENS = "WIDENS"
    NARROWS = "NARROWS"


class KillLevel(StrEnum):
    """What an engaged kill switch lets through besides cancels and flattening."""

    HALTED = "HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit that applies to the order, and how much of it is used before the order.

    `used` is what everything but the order's own instrument takes (exposure, concentration,
    margin), a count (orders, trades, losing trades in a row), or money (the day's PnL, signed; the
    fall from the day's peak). Of a Greek it is the highest that can come of the rest of the book
    with what works in it, `low` the lowest, both signed. None: unknown. `at` is when it was last
    worked out.
    """

    id: int
    version: int
    metric: Metric
    value: Decimal
    scope: str
    by_strategy: bool = False
    used: Decimal | None = None
    low: Decimal | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One instrument's net position (signed) and the working orders in it, by side."""

    net: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO

    def worst(self, side: Side, quantity: Decimal) -> Decimal:
        """Return the largest |position| that could come of it with one more order working."""
        buys, sells = self.buys, self.sells
        if side is Side.BUY:
            buys += quantity
        else:
            sells += quantity
        return max(abs(self.net + buys), abs(self.net - sells))

    def span(self, side: Side, quantity: Decimal, unit: Decimal) -> tuple[Decimal, Decimal]:
        """Return the lowest and highest of position x `unit` that can come of it with the order."""
        buys, sells = self.buys, self.sells
        if side is Side.BUY:
            buys += quantity
        else:
            sells += quantity
        ends = (self.net - sells) * unit, (self.net + buys) * unit
        return min(ends), max(ends)

    def worst_after(self, side: Side, quantity: Decimal) -> Decimal:
        """Return |position| if it, all working orders of its side and nothing else is filled."""
        return abs(
            self.net + self.buys + quantity
            if side is Side.BUY
            else self.net - self.sells - quantity
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitGreeks:
    """What one unit of an instrument reacts to, its multiplier in it (portfolio/black76.py)."""

    delta: Decimal
    gamma: Decimal = ZERO
    vega: Decimal = ZERO
    theta: Decimal = ZERO
    rho: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRisk:
    """What a group of orders can lose at expiry, money, positive; None: it is not known.

    `unbounded`: there is no most that it can lose.
    """

    max_loss: Decimal | None
    unbounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All a verdict is made of. Times are aware; quantities and prices positive; ages seconds.

    `change` says what is done to an order that works already; `filled` is what it has traded, and
    the book holds. Money is in the instrument's currency. `clock_offset` is our clock less the
    venue's, seconds. `in_session` is None where the exchange has no calendar, `expires_at` where
    nothing expires. `has_book` tells an empty book from a feed of trades. `crossed_price` is
    the best price of our own working orders on the other side. `greeks` are the instrument's, None
    where they are not known or rest on quotes that are too old. `duplicate_age` is how long ago the
    same order came. `capital` is the account's money, `account_pnl` what it has made (None:
    unknown). `group` is what the whole risks that the order is a leg of.
    """

    now: datetime
    mode: SystemMode
    origin: str = "SIGNAL"
    approved_by: str | None = None
    change: Change | None = None
    kill_level: KillLevel | None = None
    kill_scope: str = ""
    breakers: tuple[str, ...] = ()
    connection_enabled: bool
    environment: str = "paper"
    live_trading_enabled: bool = False
    reconciling: bool = False
    clock_offset: Decimal | None = None
    symbol: str
    kind: InstrumentKind = InstrumentKind.FX
    multiplier: Decimal = Decimal(1)
    tick_size: Decimal
    lot_size: Decimal
    freeze_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    margin_rate: Decimal = Decimal(1)
    is_tradable: bool
    expires_at: datetime | None = None
    in_session: bool | None = None
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: Decimal
    filled: Decimal = ZERO
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    closable: Decimal | None = None
    generated_at: datetime | None = None
    valid_until: datetime | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    has_book: bool = False
    quoted_at: datetime | None = None
    allowed: tuple[tuple[str, ...], ...] = ()
    denied: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    account: Held = field(default_factory=Held)
    strategy: Held = field(default_factory=Held)
    greeks: UnitGreeks | None = None
    crossed_price: Decimal | None = None
    duplicate_age: Decimal | None = None
    capital: Decimal | None = None
    account_pnl: Decimal | None = None
    group: GroupRisk | None = None

    @property
    def adds(self) -> Decimal:
        """Return what the order can still add to the book."""
        return self.quantity - self.filled

    @property
    def mid(self) -> Decimal | None:
        """Return the middle of the book, the last price where it has only one side."""
        if self.bid is not None and self.ask is not None:
            return (self.bid + self.ask) / 2
        return self.last

    @property
    def touch(self) -> Decimal | None:
        """Return the price a market order would begin to trade at: none where its side is empty.

        Only where there is no book at all, not even an empty one, the last price stands for it.
        """
        if self.bid is None and self.ask is None and not self.has_book:
            return self.last
        return self.ask if self.side is Side.BUY else self.bid

    @property
    def good_for(self) -> timedelta:
        """Return how long from now the signal may still be acted on; its age counts from `now`."""
        age = self.within(Metric.SIGNAL_AGE_SECONDS, DEFAULT_SIGNAL_AGE)
        wait = timedelta(microseconds=int(age * 1_000_000))
        return wait if self.valid_until is None else min(wait, self.valid_until - self.now)

    def of(self, metric: Metric) -> list[Limit]:
        """Return the limits of a metric that apply."""
        return [limit for limit in self.limits if limit.metric is metric]

    def strictest(self, metric: Metric) -> Decimal | None:
        """Return the strictest limit of a metric that applies, if there is one."""
        values = [limit.value for limit in self.of(metric)]
        if not values:
            return None
        return max(values) if metric in STRICTER_UP else min(values)

    def within(self, metric: Metric, default: Decimal) -> Decimal:
        """Return the strictest limit of a metric that applies, else the default."""
        value = self.strictest(metric)
        return default if value is None else value

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON that `from_json` reads back exactly."""
        return _object(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the facts that `as_json` wrote."""
        return msgspec.convert(stored, cls)


def _object(value: Any) -> dict[str, Any]:
    return {name: _write(getattr(value, name)) for name in type(value).__slots__}


def _write(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is int:
        return value
    if kind is Decimal:
        return decimal_text(value)
    if kind is datetime:
        return value.isoformat()
    if kind is tuple:
        return [_write(part) for part in value]
    if isinstance(value, StrEnum):
        return value.value
    return _object(value)
