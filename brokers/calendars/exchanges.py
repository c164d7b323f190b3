"""Exchanges by name: the zone their dates are in."""

from collections.abc import Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

#: Where a date of an exchange that is not listed begins, UTC.
ZONES: Mapping[str, str] = {
    **dict.fromkeys(("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX"), "Asia/Kolkata"),
    **dict.fromkeys(("FX", "XNYS", "NYSE", "NASDAQ"), "America/New_York"),
    "CBOE": "America/Chicago",
}


def midnight(day: date, exchange: str) -> datetime:
    """Return when a date begins at an exchange, aware."""
    return at(day, time.min, exchange)


def at(day: date, clock: time, exchange: str) -> datetime:
    """Return a time of an exchange's day, aware."""
    return datetime.combine(day, clock, tzinfo=ZoneInfo(ZONES.get(exchange, "UTC")))
