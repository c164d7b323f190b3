"""A signal as clients send it."""

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from brokers.contract import OrderType, TimeInForce
from orders.fields import ExactDecimal, StrictSerializer, Text
from orders.models import Action

RESERVED_STRATEGIES = {"EXTERNAL"}
METADATA_BYTES = 4096
SUPPORTED_TYPES = (OrderType.MARKET, OrderType.LIMIT)
SUPPORTED_TIMES = (TimeInForce.DAY, TimeInForce.GTC)


def _choices(enum: Any) -> list[str]:
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
    strategy = serializers.RegexField(r"^[A-Za-z0-9_.\-]{1,64}\Z")
    account = Text(max_length=64, required=False, allow_null=True)
    symbol = Text(max_length=64)
    action = Choice(choices=_choices(Action))
    quantity = ExactDecimal(required=False, allow_null=True)
    fraction = Unsupported(required=False, allow_null=True)
    order_type = Choice(choices=_choices(OrderType), default=OrderType.MARKET.value)
    limit_price = ExactDecimal(required=False, allow_null=True)
    stop_price = Unsupported(required=False, allow_null=True)
    time_in_force = Choice(choices=_choices(TimeInForce), default=TimeInForce.DAY.value)
    expires_at = Unsupported(required=False, allow_null=True)
    product = Text(max_length=32, required=False, allow_null=True)
    exchange = Text(max_length=32, required=False, allow_null=True)
    timeframe = Text(max_length=32, required=False, allow_null=True)
    reduce_only = Flag(default=False)
    post_only = Unsupported(required=False, allow_null=True)
    reference_price = ExactDecimal(required=False, allow_null=True)
    protect = Unsupported(required=False, allow_null=True)
    generated_at = Moment(required=False, allow_null=True)
    valid_until = Moment(required=False, allow_null=True)
    correlation_id = Text(max_length=128, required=False, allow_null=True)
    confidence = ExactDecimal(required=False, allow_null=True)
    reason = Text(max_length=500, required=False, allow_null=True)
    tag = Text(max_length=64, required=False, allow_null=True)
    metadata = Metadata(required=False, allow_null=True)

    def validate_strategy(self, value: str) -> str:
        """Refuse the names that are the engine's own."""
        if value.upper() in RESERVED_STRATEGIES:
            raise serializers.ValidationError("a reserved name", code="reserved")
        return value

    def validate_order_type(self, value: str) -> OrderType:
        """Refuse what this build cannot send."""
        if OrderType(value) not in SUPPORTED_TYPES:
            raise serializers.ValidationError("not supported by this build", code="unsupported")
        return OrderType(value)

    def validate_time_in_force(self, value: str) -> TimeInForce:
        """Refuse what this build cannot send."""
        if TimeInForce(value) not in SUPPORTED_TIMES:
            raise serializers.ValidationError("not supported by this build", code="unsupported")
        return TimeInForce(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what depends on more than one field."""
        action, quantity = Action(attrs["action"]), attrs.get("quantity")
        limit_price = attrs.get("limit_price")
        errors: dict[str, str] = {}
        if action in {Action.BUY, Action.SELL} and quantity is None:
            errors["quantity"] = f"{action} needs a quantity"
        if quantity is not None and quantity <= 0:
            errors["quantity"] = "the quantity must be positive"
        if action is Action.HOLD and quantity is not None:
            errors["quantity"] = "HOLD has no quantity"
        if attrs["order_type"] is OrderType.LIMIT and (limit_price is None or limit_price <= 0):
            errors["limit_price"] = "LIMIT needs a positive limit_price"
        if attrs["order_type"] is OrderType.MARKET and limit_price is not None:
            errors["limit_price"] = "MARKET has no limit_price"
        if errors:
            raise serializers.ValidationError(errors)
        return attrs
