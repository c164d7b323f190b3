"""A signal as clients send it."""

import json
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from brokers.contract import OrderType, TimeInForce
from orders.api.fields import ExactDecimal, StrictSerializer, SymbolText, Text
from orders.models import Action
from orders.models.signal import ASKED

RESERVED_STRATEGIES = {"EXTERNAL"}
METADATA_BYTES = 4096
STRATEGY = r"^[A-Za-z0-9_.\-]{1,64}\Z"


class StrategyName(Text):
    """The name of a strategy, as it was sent; not one of the engine's own."""

    default_error_messages = {"reserved": "a reserved name"}

    def __init__(self, **values: Any) -> None:
        letters = RegexValidator(STRATEGY, "letters, digits, _ . and -, at most 64 of them")
        super().__init__(validators=[letters], **values)

    def to_internal_value(self, data: Any) -> str:
        """Return the name."""
        name = super().to_internal_value(data)
        if name.upper() in RESERVED_STRATEGIES:
            self.fail("reserved")
        return name


def choices(enum: Any) -> list[str]:
    """Return what a field takes for an enumeration."""
    return [member.value for member in enum]


class Choice(serializers.ChoiceField):
    """One of the names, as text."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the name."""
        if not isinstance(data, str):
            self.fail("invalid_choice", input=str(data)[:64])
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """True or false, and nothing that looks like it."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the flag."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Moment(serializers.DateTimeField):
    """A time with its zone."""

    default_error_messages = {"naive": "the time needs a zone, e.g. 2026-11-20T09:20:00Z"}

    def to_internal_value(self, value: Any) -> Any:
        """Return the aware time."""
        if not isinstance(value, str):
            self.fail("invalid", format="ISO 8601")
        if not (value.endswith(("Z", "z")) or "+" in value[10:] or "-" in value[10:]):
            self.fail("naive")
        try:
            return super().to_internal_value(value)
        except OverflowError:
            self.fail("invalid", format="ISO 8601")


@extend_schema_field({"type": "object", "additionalProperties": True})
class Metadata(serializers.Field):
    """An object of the client's own."""

    default_error_messages = {
        "invalid": "an object is expected",
        "too_large": f"more than {METADATA_BYTES} bytes",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Return it as it was sent."""
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(json.dumps(data, default=str)) > METADATA_BYTES:
            self.fail("too_large")
        return data

    def to_representation(self, value: Any) -> Any:
        """Return it as it is."""
        return value


@extend_schema_field(
    {"type": "boolean", "description": "Not supported by this build: null, false or absent."}
)
class Unsupported(serializers.Field):
    """A field of later work: null and false are fine, anything else is refused."""

    default_error_messages = {"unsupported": "not supported by this build"}

    def to_internal_value(self, data: Any) -> None:
        """Refuse what would be ignored."""
        if data not in (None, False):
            self.fail("unsupported")

    def to_representation(self, value: Any) -> Any:
        """Return it as it is."""
        return value


class SignalInput(StrictSerializer):
    """The body of POST /signals."""

    signal_id = Text(max_length=128)
    strategy = StrategyName()
    account = Text(max_length=64, required=False, allow_null=True)
    symbol = SymbolText(max_length=64)
    action = Choice(choices=choices(ASKED))
    quantity = ExactDecimal(required=False, allow_null=True)
    fraction = Unsupported(required=False, allow_null=True)
    order_type = Choice(choices=choices(OrderType), default=OrderType.MARKET.value)
    limit_price = ExactDecimal(required=False, allow_null=True)
    stop_price = ExactDecimal(required=False, allow_null=True)
    time_in_force = Choice(choices=choices(TimeInForce), default=TimeInForce.DAY.value)
    expires_at = Moment(required=False, allow_null=True)
    product = Text(max_length=32, required=False, allow_null=True)
    exchange = Text(max_length=32, required=False, allow_null=True)
    timeframe = Text(max_length=32, required=False, allow_null=True)
    reduce_only = Flag(default=False)
    post_only = Flag(default=False)
    reference_price = ExactDecimal(required=False, allow_null=True)
    protect = Unsupported(required=False, allow_null=True)
    generated_at = Moment(required=False, allow_null=True)
    valid_until = Moment(required=False, allow_null=True)
    correlation_id = Text(max_length=128, required=False, allow_null=True)
    confidence = ExactDecimal(required=False, allow_null=True)
    reason = Text(max_length=500, required=False, allow_null=True)
    tag = Text(max_length=64, required=False, allow_null=True)
    metadata = Metadata(required=False, allow_null=True)

    def validate_order_type(self, value: str) -> OrderType:
        """Return the type by its name."""
        return OrderType(value)

    def validate_time_in_force(self, value: str) -> TimeInForce:
        """Return the time in force by its name."""
        return TimeInForce(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what depends on more than one field."""
        action, quantity = Action(attrs["action"]), attrs.get("quantity")
        errors = _of_type(attrs) | _of_time_in_force(attrs)
        if action in {Action.BUY, Action.SELL} and quantity is None:
            errors["quantity"] = f"{action} needs a quantity"
        if quantity is not None and quantity <= 0:
            errors["quantity"] = "the quantity must be positive"
        if action is Action.HOLD and quantity is not None:
            errors["quantity"] = "HOLD has no quantity"
        if (confidence := attrs.get("confidence")) is not None and not 0 <= confidence <= 1:
            errors["confidence"] = "a fraction from 0 to 1 is expected"
        if (reference := attrs.get("reference_price")) is not None and reference <= 0:
            errors["reference_price"] = "the reference price must be positive"
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


def _of_type(attrs: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with the prices of an order type, by field."""
    kind, errors = attrs["order_type"], {}
    needs = {
        "limit_price": kind in {OrderType.LIMIT, OrderType.STOP_LIMIT},
        "stop_price": kind in {OrderType.STOP, OrderType.STOP_LIMIT},
    }
    for name, needed in needs.items():
        price = attrs.get(name)
        if needed and (price is None or price <= 0):
            errors[name] = f"{kind} needs a positive {name}"
        if not needed and price is not None:
            errors[name] = f"{kind} has no {name}"
    return errors


def _of_time_in_force(attrs: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with how long an order is to work, by field."""
    kind, tif, errors = attrs["order_type"], attrs["time_in_force"], {}
    at_once = tif in {TimeInForce.IOC, TimeInForce.FOK}
    if at_once and kind in {OrderType.STOP, OrderType.STOP_LIMIT}:
        errors["time_in_force"] = f"{kind} cannot be {tif}"
    if tif is TimeInForce.GTD and attrs.get("expires_at") is None:
        errors["expires_at"] = "GTD needs expires_at"
    if tif is not TimeInForce.GTD and attrs.get("expires_at") is not None:
        errors["expires_at"] = "only GTD has expires_at"
    if attrs["post_only"] and (kind is not OrderType.LIMIT or at_once):
        errors["post_only"] = "only a LIMIT order that may rest can be post-only"
    return errors
