"""When an account's trading day begins and ends."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def trading_date(now: datetime, *, roll: time, zone: str) -> date:
    """Return the account's trading day at `now`.

    The day rolls at `roll` in `zone`; a roll after midnight opens the next date's day, as FX
    counts it (at 17:00 New York on Monday, Tuesday begins).
    """
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (local.date() + DAY) if roll != time.min and local.time() >= roll else local.date()


def day_end(day: date, *, roll: time, zone: str) -> datetime:
    """Return the instant at which trading day `day` ends, aware, in `zone`."""
    last = day if roll != time.min else day + DAY
    return datetime.combine(last, roll, tzinfo=ZoneInfo(zone))
