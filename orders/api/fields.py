"""Strict input: unknown fields are refused, decimals are exact, text is printable."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from brokers.instruments.symbols import one_spelling

PATTERN = r"^-?[0-9]{1,18}(\.[0-9]{1,10})?$"
_DECIMAL = re.compile(PATTERN)


class StrictSerializer(serializers.Serializer):
    """Refuses fields it does not know, by name."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate; unknown names first."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": ["a JSON object is expected"]}, code="invalid"
            )
        unknown = [str(name) for name in data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError(
                {name: ["no such field"] for name in unknown}, code="unknown_field"
            )
        return super().to_internal_value(data)


@extend_schema_field({"type": "string", "pattern": PATTERN, "examples": ["182.50"]})
class ExactDecimal(serializers.Field):
    """A decimal string of at most 18 and 10 digits. JSON numbers are taken when they are exact."""

    default_error_messages = {"invalid": "not a decimal of at most 18 and 10 digits"}

    def to_internal_value(self, data: Any) -> Decimal:
        """Return the number."""
        if isinstance(data, Decimal):
            text = format(data, "f")
        elif isinstance(data, int) and not isinstance(data, bool):
            text = str(data)
        else:
            text = data
        if not isinstance(text, str) or not _DECIMAL.fullmatch(text) or not text.isascii():
            self.fail("invalid")
        return Decimal(text)

    def to_representation(self, value: Decimal) -> str:
        """Return its plain spelling."""
        return format(value, "f")


class Text(serializers.CharField):
    """Printable text as it was sent: no numbers taken for text, nothing trimmed."""

    default_error_messages = {"unprintable": "text with control characters"}

    def __init__(self, **values: Any) -> None:
        super().__init__(trim_whitespace=False, **values)

    def to_internal_value(self, data: Any) -> str:
        """Return the text."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.isprintable():
            self.fail("unprintable")
        return super().to_internal_value(data)


class SymbolText(Text):
    """A symbol, taken in its one spelling."""

    def to_internal_value(self, data: Any) -> str:
        """Return the symbol."""
        return one_spelling(super().to_internal_value(data))


class NothingInput(StrictSerializer):
    """An empty object."""
