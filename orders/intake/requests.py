"""A signal as a client sent it, and what can be wrong with one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.contract import OrderType, TimeInForce
from execution_site.floor.events import canonical
from execution_site.rest.http import sentence
from orders.judging import gather
from orders.judging.case import Case, OrderSpec, Proposed
from orders.judging.situation import UnknownNames
from orders.models import Action


class IdempotencyConflict(Exception):
    """The key was used before, with another body."""


class InvalidSignal(Exception):
    """The signal names something that does not exist. `errors` name the fields."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(sentence(errors))
        self.errors = errors


def open_case(proposed: Proposed, spec: OrderSpec, *, now: datetime) -> Case:
    """Read what an order names.

    :raises InvalidSignal: there is no such account or symbol
    """
    try:
        return gather.open_case(proposed, spec, now=now)
    except UnknownNames as e:
        errors = []
        if e.account:
            errors.append(field_error("account", "unknown_account", "no such account"))
        if e.symbol:
            errors.append(field_error("symbol", "unknown_symbol", "no such instrument"))
        raise InvalidSignal(errors) from e


def field_error(name: str, code: str, detail: str) -> dict[str, str]:
    """Return what is wrong with a field, as problems list it."""
    return {"field": name, "code": code, "detail": detail}


def json_body(body: Mapping[str, Any]) -> Any:
    """Return a body as JSON values; numbers that JSON would round are kept as text."""
    return json.loads(json.dumps(body, default=str))


def hash_body(body: Mapping[str, Any]) -> str:
    """Return what two spellings of one body have in common (SHA-256 of its canonical spelling)."""
    return hashlib.sha256(canonical(json_body(body)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRequest:
    """A signal as a client sent it, validated field by field. `body` is what it sent."""

    signal_id: str
    strategy: str
    account: str
    symbol: str
    action: Action
    body: dict[str, Any]
    quantity: Decimal | None = None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_at: datetime | None = None
    reduce_only: bool = False
    post_only: bool = False
    reference_price: Decimal | None = None
    generated_at: datetime | None = None
    valid_until: datetime | None = None
    correlation_id: str = ""
    reason: str = ""
    tag: str = ""
    product: str = ""
    exchange: str = ""
    timeframe: str = ""
    confidence: Decimal | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def reduces(self) -> bool:
        """Tell whether its order may only close what the strategy holds."""
        return self.action is Action.EXIT or self.reduce_only
