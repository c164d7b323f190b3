"""What the paper venue takes, and on which terms. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from brokers.contract import OrderRequest, OrderType, TimeInForce
from brokers.paper.matching import CONTEXT, LIMITS, MONEY_PLACES, STOPS, FillModel, PriceSource

CLIENT_ORDER_ID_LENGTH = 36
SYMBOL_LENGTH = 64
WHOLE_DIGITS = 18
AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
SLIPPAGE_BASIS_POINTS = Decimal(5)  # against us, of a MARKET order's price
COMMISSION_BASIS_POINTS = Decimal(1)  # of the notional


class InvalidTerms(ValueError):
    """A connection's settings name something unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the venue misbehaves on request: chances from 0 to 1, drawn from the fill model's seed.

    `reject`: the order is refused; `unavailable`: it never arrives; `lose_answer`: it is taken and
    the answer is lost; `repeat`: a line of the ledger is reported twice; lines are
    reported only after `late` of the market's time.
    """

    reject: Decimal = Decimal(0)
    unavailable: Decimal = Decimal(0)
    lose_answer: Decimal = Decimal(0)
    repeat: Decimal = Decimal(0)
    late: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """An account's fill model, its commission in basis points of the notional, and its latency."""

    model: FillModel
    commission_basis_points: Decimal
    latency: timedelta
    faults: Faults

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the terms in a connection's settings.

        `fill_price` (book, mid, last), `slippage_basis_points`, `slippage_ticks`,
        `commission_basis_points`, `participation` (0 to 1), `queue` (true), `fill_probability`,
        `slip_probability`, `seed`, `latency_ms`, and of `Faults` `reject_probability`,
        `unavailable_probability`, `lose_answer_probability`, `repeat_probability`,
        `late_seconds`.

        :raises InvalidTerms: one of them is unusable, or is none of ours
        """
        if unknown := set(settings) - _NAMES:
            raise InvalidTerms(f"no such setting: {', '.join(sorted(unknown))}")

        def number(name: str, default: Decimal | int = 0, *, most: int | None = None) -> Decimal:
            return _number(settings, name, Decimal(default), most=most)

        price = str(settings.get("fill_price", PriceSource.BOOK))
        if price not in set(PriceSource):
            raise InvalidTerms(f"fill_price is none of {', '.join(PriceSource)}: {price}")
        queue = settings.get("queue", False)
        if not isinstance(queue, bool):
            raise InvalidTerms(f"queue is not true or false: {queue}")
        model = FillModel(
            price=PriceSource(price),
            slippage_basis_points=number("slippage_basis_points", SLIPPAGE_BASIS_POINTS),
            slippage_ticks=number("slippage_ticks"),
            participation=number("participation", most=1) if "participation" in settings else None,
            queue=queue,
            fill_probability=number("fill_probability", 1, most=1),
            slip_probability=number("slip_probability", most=1),
            seed=int(number("seed")),
        )
        faults = Faults(
            reject=number("reject_probability", most=1),
            unavailable=number("unavailable_probability", most=1),
            lose_answer=number("lose_answer_probability", most=1),
            repeat=number("repeat_probability", most=1),
            late=timedelta(seconds=float(number("late_seconds"))),
        )
        return cls(
            model=model,
            commission_basis_points=number("commission_basis_points", COMMISSION_BASIS_POINTS),
            latency=timedelta(milliseconds=float(number("latency_ms"))),
            faults=faults,
        )


_NAMES = frozenset(
    {
        "fill_price",
        "slippage_basis_points",
        "slippage_ticks",
        "commission_basis_points",
        "participation",
        "queue",
        "fill_probability",
        "slip_probability",
        "seed",
        "latency_ms",
        "reject_probability",
        "unavailable_probability",
        "lose_answer_probability",
        "repeat_probability",
        "late_seconds",
    }
)


def unreadable(request: OrderRequest) -> str | None:
    """Return why a request is no order at all, which the ledger could not even record."""
    if not 0 < len(request.client_order_id) <= CLIENT_ORDER_ID_LENGTH:
        return f"client order id is not of 1 to {CLIENT_ORDER_ID_LENGTH} characters"
    if len(request.symbol) > SYMBOL_LENGTH:
        return f"symbol is longer than {SYMBOL_LENGTH} characters"
    if not _fits(request.quantity) or request.quantity <= 0:
        return f"quantity {request.quantity} is not a positive number the ledger can hold"
    for name in ("limit_price", "stop_price"):
        price = getattr(request, name)
        if price is not None and not _fits(price):
            return f"{name} {price} is not a number the ledger can hold"
    return None


def refusal(request: OrderRequest, *, is_tradable: bool | None) -> str | None:
    """Return why the venue refuses an order, or None. `is_tradable` None: no such symbol."""
    if is_tradable is None:
        return f"unknown symbol {request.symbol}"
    if not is_tradable:
        return f"{request.symbol} cannot be traded"
    return bad_prices(request) or bad_time_in_force(request)


def bad_prices(request: OrderRequest) -> str | None:
    """Return what is wrong with an order's prices, or None."""
    kind = request.order_type
    for name, needed in (("limit", kind in LIMITS), ("stop", kind in STOPS)):
        price = request.limit_price if name == "limit" else request.stop_price
        if needed and (price is None or price <= 0):
            return f"a {kind} order needs a positive {name} price"
        if not needed and price is not None:
            return f"a {kind} order has no {name} price"
    return None


def bad_time_in_force(request: OrderRequest) -> str | None:
    """Return what is wrong with how long an order is to work, or None."""
    at_once = request.time_in_force in AT_ONCE
    if at_once and request.order_type in STOPS:
        return f"a {request.order_type} order cannot be {request.time_in_force}"
    if request.time_in_force is TimeInForce.GTD and request.expires_at is None:
        return "a GTD order needs the time it expires at"
    if request.time_in_force is not TimeInForce.GTD and request.expires_at is not None:
        return "only a GTD order has a time it expires at"
    if request.post_only and (request.order_type is not OrderType.LIMIT or at_once):
        return "only a LIMIT order that may rest can be post-only"
    return None


def _number(
    settings: Mapping[str, Any], name: str, default: Decimal, *, most: int | None
) -> Decimal:
    text = str(settings.get(name, default))
    try:
        value = Decimal(text)
    except InvalidOperation as e:
        raise InvalidTerms(f"{name} is not a number: {text}") from e
    if not value.is_finite() or value < 0:
        raise InvalidTerms(f"{name} is negative or not finite: {text}")
    if most is not None and value > most:
        raise InvalidTerms(f"{name} is more than {most}: {text}")
    return value


def _fits(value: Decimal) -> bool:
    """Tell whether the ledger's columns hold a number exactly."""
    if not value.is_finite() or abs(value) >= Decimal(10) ** WHOLE_DIGITS:
        return False
    return value.quantize(MONEY_PLACES, context=CONTEXT) == value
