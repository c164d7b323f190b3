"""The rules: each takes the facts and says passed, failed, or could not be evaluated.

A rule that lacks what it needs is NOT_EVALUABLE, and that refuses as well: the gate fails closed.
A limit that nobody set is no rule and is left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from brokers.contract import Side
from brokers.instruments import decimal_text, is_multiple

FUTURE_TOLERANCE_SECONDS = Decimal(5)  # a client's clock may be this far ahead of ours


class SystemMode(StrEnum):
    """GUIDE refuses signals; SUPERVISED asks a person; AUTONOMOUS sends what risk admits."""

    GUIDE = "GUIDE"
    SUPERVISED = "SUPERVISED"
    AUTONOMOUS = "AUTONOMOUS"


class KillLevel(StrEnum):
    """What an engaged kill switch lets through besides cancels."""

    HALTED = "HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"


class Metric(StrEnum):
    """What a limit bounds."""

    MAX_ORDER_QUANTITY = "max_order_quantity"
    DAILY_TRADES = "daily_trades"
    QUOTE_AGE_SECONDS = "quote_age_seconds"
    SIGNAL_AGE_SECONDS = "signal_age_seconds"


class CheckStatus(StrEnum):
    """A verdict of one check."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_EVALUABLE = "NOT_EVALUABLE"


@dataclass(frozen=True, slots=True)
class Check:
    """One check's verdict. `code` is the stable refusal code, `value` and `limit` are text."""

    name: str
    status: CheckStatus
    value: str | None
    limit: str | None
    detail: str
    code: str

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as it is stored and answered."""
        return {
            "name": self.name,
            "status": self.status.value,
            "value": self.value,
            "limit": self.limit,
            "detail": self.detail,
            "code": None if self.status is CheckStatus.PASSED else self.code,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All a verdict is made of. Times are aware; quantities and prices positive; ages seconds."""

    now: datetime
    mode: SystemMode
    kill_active: bool
    kill_level: KillLevel
    connection_enabled: bool
    symbol: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    reduce_only: bool
    closable: Decimal | None
    generated_at: datetime | None
    valid_until: datetime | None
    tick_size: Decimal
    lot_size: Decimal
    is_tradable: bool
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    quoted_at: datetime | None
    allowed: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    max_order_quantity: Decimal | None
    max_daily_trades: Decimal | None
    trades_today: Decimal
    max_quote_age: Decimal
    max_signal_age: Decimal

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON that `from_json` reads back exactly."""
        return {f.name: _to_json(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the facts that `as_json` wrote."""
        return cls(**{name: _READERS.get(name, _as_is)(v) for name, v in stored.items()})


def system_mode(f: Facts) -> Check:
    """Signals are traded in AUTONOMOUS alone."""
    return _check(
        "system_mode",
        f.mode is SystemMode.AUTONOMOUS,
        f"the system is in {f.mode}",
        value=f.mode,
        limit=SystemMode.AUTONOMOUS,
    )


def kill_switch(f: Facts) -> Check:
    """Nothing passes HALTED; reduce-only passes REDUCE_ONLY."""
    halted = f.kill_active and not (f.kill_level is KillLevel.REDUCE_ONLY and f.reduce_only)
    state = f"engaged at {f.kill_level}" if f.kill_active else "released"
    return _check("kill_switch", not halted, f"the kill switch is {state}", value=state)


def connection_enabled(f: Facts) -> Check:
    """The account's connection is switched on."""
    detail = "the connection is on" if f.connection_enabled else "the connection is disabled"
    return _check("connection_enabled", f.connection_enabled, detail)


def symbol_tradable(f: Facts) -> Check:
    """The instrument itself can be traded (an index cannot)."""
    return _check("symbol_tradable", f.is_tradable, f"{f.symbol} tradable: {f.is_tradable}")


def symbol_allowed(f: Facts) -> Check | None:
    """On no deny list, and on every allow list that applies. A position can always be closed."""
    if f.reduce_only:
        return None
    if f.symbol in f.denied:
        return _check("symbol_allowed", False, f"{f.symbol} is on a deny list", value=f.symbol)
    listed = all(f.symbol in names for names in f.allowed)
    detail = "is allowed" if listed else "is not on an allow list that applies"
    return _check("symbol_allowed", listed, f"{f.symbol} {detail}", value=f.symbol)


def signal_age(f: Facts) -> Check:
    """Generated no longer ago than the limit, not in the future, and still valid."""
    if f.valid_until is not None and f.now > f.valid_until:
        return _check(
            "signal_age",
            False,
            "the signal's valid_until has passed",
            value=f.now.isoformat(),
            limit=f.valid_until.isoformat(),
        )
    if f.generated_at is None:
        return _check("signal_age", True, "the signal does not say when it was generated")
    age = _seconds(f.now, f.generated_at)
    ok = -FUTURE_TOLERANCE_SECONDS <= age <= f.max_signal_age
    return _check(
        "signal_age",
        ok,
        f"generated {decimal_text(age)} s ago",
        value=decimal_text(age),
        limit=decimal_text(f.max_signal_age),
    )


def market_data_present(f: Facts) -> Check:
    """There is a price to judge the order by."""
    price = f.ask if f.side is Side.BUY else f.bid
    known = price if price is not None else f.last
    if known is None:
        return _unknown("market_data_present", f"no price for {f.symbol}", code="ltp_missing")
    return _check("market_data_present", True, "a price is known", value=decimal_text(known))


def quote_fresh(f: Facts) -> Check:
    """The quote is no older than the limit."""
    limit = decimal_text(f.max_quote_age)
    if f.quoted_at is None:
        return _unknown("quote_fresh", f"no quote for {f.symbol}", limit=limit, code="quote_stale")
    age = _seconds(f.now, f.quoted_at)
    return _check(
        "quote_fresh",
        age <= f.max_quote_age,
        f"the quote is {decimal_text(age)} s old",
        value=decimal_text(age),
        limit=limit,
        code="quote_stale",
    )


def tick_and_lot(f: Facts) -> Check:
    """Quantity in whole lots, prices on the tick. What is off is refused, never rounded."""
    if not is_multiple(f.quantity, f.lot_size):
        return _check(
            "tick_and_lot",
            False,
            "the quantity is no multiple of the lot size",
            value=decimal_text(f.quantity),
            limit=decimal_text(f.lot_size),
            code="quantity_not_in_lots",
        )
    for name, price in (("limit", f.limit_price), ("stop", f.stop_price)):
        if price is not None and not is_multiple(price, f.tick_size):
            return _check(
                "tick_and_lot",
                False,
                f"the {name} price is no multiple of the tick size",
                value=decimal_text(price),
                limit=decimal_text(f.tick_size),
                code="price_off_tick",
            )
    return _check("tick_and_lot", True, "in whole lots and ticks")


def max_order_quantity(f: Facts) -> Check | None:
    """Quantity of one order. A position can always be closed."""
    if f.max_order_quantity is None or f.reduce_only:
        return None
    return _check(
        "max_order_quantity",
        f.quantity <= f.max_order_quantity,
        "quantity of the order against the limit",
        value=decimal_text(f.quantity),
        limit=decimal_text(f.max_order_quantity),
    )


def daily_trades(f: Facts) -> Check | None:
    """Orders of the account's trading day, this one included. A position can always be closed."""
    if f.max_daily_trades is None or f.reduce_only:
        return None
    return _check(
        "daily_trades",
        f.trades_today + 1 <= f.max_daily_trades,
        "orders of the trading day, this one included",
        value=decimal_text(f.trades_today + 1),
        limit=decimal_text(f.max_daily_trades),
    )


def reduce_only(f: Facts) -> Check | None:
    """Closes no more than the strategy holds, less what other working orders already close."""
    if not f.reduce_only:
        return None
    if f.closable is None:
        return _unknown("reduce_only", "the strategy's position is unknown", code="reduce_only")
    return _check(
        "reduce_only",
        0 < f.quantity <= f.closable,
        "quantity to close against what is held and not yet being closed",
        value=decimal_text(f.quantity),
        limit=decimal_text(f.closable),
        code="exceeds_closable" if f.closable else "nothing_to_close",
    )


CHECKS: tuple[Callable[[Facts], Check | None], ...] = (
    system_mode,
    kill_switch,
    connection_enabled,
    symbol_tradable,
    symbol_allowed,
    signal_age,
    market_data_present,
    quote_fresh,
    tick_and_lot,
    reduce_only,
    max_order_quantity,
    daily_trades,
)


def run_checks(facts: Facts) -> Iterator[Check]:
    """Yield the verdict of every check that applies, not only of the first that fails."""
    return (verdict for check in CHECKS if (verdict := check(facts)) is not None)


def _check(
    name: str,
    passed: bool,
    detail: str,
    *,
    value: str | None = None,
    limit: str | None = None,
    code: str | None = None,
) -> Check:
    status = CheckStatus.PASSED if passed else CheckStatus.FAILED
    return Check(name, status, value, limit, detail, code or name)


def _unknown(name: str, detail: str, *, code: str, limit: str | None = None) -> Check:
    return Check(name, CheckStatus.NOT_EVALUABLE, None, limit, detail, code)


def _seconds(later: datetime, earlier: datetime) -> Decimal:
    elapsed = later - earlier
    micros = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    return Decimal(micros) / 1_000_000


def _to_json(value: Any) -> Any:
    match value:
        case StrEnum():
            return value.value
        case Decimal():
            return decimal_text(value)
        case datetime():
            return value.isoformat()
        case tuple():
            return [_to_json(part) for part in value]
        case _:
            return value


def _as_is(value: Any) -> Any:
    return value


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "mode": SystemMode,
    "kill_level": KillLevel,
    "side": Side,
    "allowed": lambda lists: tuple(tuple(names) for names in lists),
    "denied": tuple,
    **dict.fromkeys(
        ("now", "generated_at", "valid_until", "quoted_at"),
        _optional(datetime.fromisoformat),
    ),
    **dict.fromkeys(
        (
            "quantity",
            "limit_price",
            "stop_price",
            "closable",
            "tick_size",
            "lot_size",
            "bid",
            "ask",
            "last",
            "max_order_quantity",
            "max_daily_trades",
            "trades_today",
            "max_quote_age",
            "max_signal_age",
        ),
        _optional(Decimal),
    ),
}
