"""The options on one underlying, strike by strike, with quotes and Greeks."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from brokers.instruments.kinds import InstrumentKind, decimal_text
from brokers.instruments.symbols import Right
from brokers.models import Instrument
from brokers.quotes import quote_json
from portfolio.aggregation import GREEKS
from portfolio.model_prices import model_price
from portfolio.option_rows import OptionGreeks

ZERO = Decimal(0)
_SIDES = {Right.CALL.value: "call", Right.PUT.value: "put"}


def describe(underlying: str, *, expiry: date | None, now: datetime) -> dict[str, Any] | None:
    """Return an underlying's expiries and the strikes of one; None where it has no options.

    Greeks are per unit of quantity.
    """
    options = Instrument.objects.filter(kind=InstrumentKind.OPTION, underlying=underlying)
    dates: list[date] = list(
        options.order_by("expiry_date").values_list("expiry_date", flat=True).distinct()  # type: ignore[arg-type]  # an option has one
    )
    if not dates or (expiry is not None and expiry not in dates):
        return None
    shown = expiry or next((day for day in dates if day >= now.date()), dates[-1])
    strikes: dict[str, dict[str, Any]] = {}
    found = options.filter(expiry_date=shown).select_related("quote", "greeks")
    for option in found.order_by("strike", "right"):
        strike = decimal_text(option.strike or ZERO)
        row = strikes.setdefault(strike, {"strike": strike, "call": None, "put": None})
        row[_SIDES[option.right]] = _option(option)
    return {
        "underlying": underlying,
        "expiries": [day.isoformat() for day in dates],
        "expiry": shown.isoformat(),
        "strikes": list(strikes.values()),
    }


def _option(option: Instrument) -> dict[str, Any]:
    quote = getattr(option, "quote", None)
    valued: OptionGreeks | None = getattr(option, "greeks", None)
    row: dict[str, Any] = {
        "symbol": option.symbol,
        "quote": None if quote is None else quote_json(quote, option.symbol),
        "greeks": None,
    }
    if valued is not None and not valued.problem:
        row["greeks"] = {name: getattr(valued, name) for name in (*GREEKS, "volatility")} | {
            "price": model_price(valued.price),
            "forward": model_price(valued.forward),
            "forward_source": valued.forward_source,
            "volatility_source": valued.volatility_source,
        }
    return row
