"""Prices that a model has worked out, written as prices are."""

from decimal import Decimal

from brokers.instruments.kinds import decimal_text
from portfolio.holding import quantize


def model_price(value: float | None) -> str | None:
    """Return a model's price as a decimal of 10 places, None for None."""
    return None if value is None else decimal_text(quantize(Decimal(repr(value))))
