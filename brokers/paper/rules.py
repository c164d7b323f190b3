"""What the paper venue takes, and on which terms. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from brokers.contract import OrderRequest, OrderType, TimeInForce
from brokers.paper.matching import CONTEXT, MONEY_PLACES

CLIENT_ORDER_ID_LENGTH = 36
SYMBOL_LENGTH = 64
WHOLE_DIGITS = 18
ORDER_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
TIMES_IN_FORCE = frozenset({TimeInForce.DAY, TimeInForce.GTC})

DEFAULTS = {
    "slippage_basis_points": "5",  # against us, of a MARKET order's price
    "commission_basis_points": "1",  # of the notional
}


class InvalidTerms(ValueError):
    """A connection's settings name no usable slippage or commission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an account pays, in basis points; both cost us."""

    slippage_basis_points: Decimal
    commission_basis_points: Decimal

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the terms in a connection's settings.

        :raises InvalidTerms: one of them is not a number, or is negative
        """
        return cls(**{name: _basis_points(settings, name) for name in DEFAULTS})


def unreadable(request: OrderRequest) -> str | None:
    """Return why a request is no order at all, which the ledger could not even record."""
    if not 0 < len(request.client_order_id) <= CLIENT_ORDER_ID_LENGTH:
        return f"client order id is not of 1 to {CLIENT_ORDER_ID_LENGTH} characters"
    if len(request.symbol) > SYMBOL_LENGTH:
        return f"symbol is longer than {SYMBOL_LENGTH} characters"
    if not _fits(request.quantity) or request.quantity <= 0:
        return f"quantity {request.quantity} is not a positive number the ledger can hold"
    if request.limit_price is not None and not _fits(request.limit_price):
        return f"limit price {request.limit_price} is not a number the ledger can hold"
    return None


def refusal(request: OrderRequest, *, is_tradable: bool | None) -> str | None:
    """Return why the venue refuses an order, or None. `is_tradable` None: no such symbol."""
    if is_tradable is None:
        return f"unknown symbol {request.symbol}"
    if not is_tradable:
        return f"{request.symbol} cannot be traded"
    if request.order_type not in ORDER_TYPES:
        return f"order type {request.order_type} is not supported"
    if request.time_in_force not in TIMES_IN_FORCE:
        return f"time in force {request.time_in_force} is not supported"
    limit = request.limit_price
    if request.order_type is OrderType.LIMIT and (limit is None or limit <= 0):
        return "a limit order needs a positive limit price"
    return None


def _basis_points(settings: Mapping[str, Any], name: str) -> Decimal:
    text = str(settings.get(name, DEFAULTS[name]))
    try:
        value = Decimal(text)
    except InvalidOperation as e:
        raise InvalidTerms(f"{name} is not a number: {text}") from e
    if not value.is_finite() or value < 0:
        raise InvalidTerms(f"{name} is negative or not finite: {text}")
    return value


def _fits(value: Decimal) -> bool:
    """Tell whether the ledger's columns hold a number exactly."""
    if not value.is_finite() or abs(value) >= Decimal(10) ** WHOLE_DIGITS:
        return False
    return value.quantize(MONEY_PLACES, context=CONTEXT) == value
