"""What an instrument is: kinds, ticks and lots, and how its numbers are formatted."""

from decimal import Decimal
from enum import StrEnum


class InstrumentKind(StrEnum):
    """What is traded, which decides units and conventions."""

    EQUITY = "EQUITY"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    FX = "FX"
    CRYPTO = "CRYPTO"
    PERPETUAL = "PERPETUAL"
    INDEX = "INDEX"


#: Kinds that end on a day of their own.
DATED = frozenset({InstrumentKind.FUTURE, InstrumentKind.OPTION})


class Settlement(StrEnum):
    """What is delivered at expiry."""

    CASH = "CASH"
    PHYSICAL = "PHYSICAL"


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Tell whether `value` is a whole number of steps. We refuse what is not; we never round."""
    return value % step == 0


def decimal_text(value: Decimal) -> str:
    """Return the shortest plain spelling: no exponent, no trailing zeros, no minus zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def optional_text(value: Decimal | None) -> str | None:
    """Return `decimal_text`, or None for None."""
    return None if value is None else decimal_text(value)
