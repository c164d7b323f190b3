"""`manage.py make_trading_days`: writes the exchanges' trading days from the kept library.

For whoever keeps the project: `exchange-calendars` is a development tool, not needed to run.
"""

import csv
from typing import Any

import exchange_calendars
from django.core.management.base import BaseCommand, CommandParser

from brokers.calendars.session_plan import FOLDER

CALENDARS = ("XBOM", "XNYS")
USUAL = {"XBOM": "15:30", "XNYS": "16:00"}


class Command(BaseCommand):
    """Writes brokers/calendar_data/trading_days.csv anew."""

    help = "Write the trading days of the exchanges, as exchange-calendars knows them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the span; a calendar ends where the library's knowledge does."""
        parser.add_argument("--from", dest="first", default="2024-01-01")
        parser.add_argument("--until", dest="last", default="2027-12-31")

    def handle(self, *_: Any, first: str, last: str, **__: Any) -> None:
        """Write it and say how far each reaches."""
        with (FOLDER / "trading_days.csv").open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("days", "date", "early_close"))
            for name in CALENDARS:
                until = min(last, str(_known_until(name).date()))
                calendar = exchange_calendars.get_calendar(name, start=first, end=until)
                for day, closes in calendar.closes.items():
                    local = closes.tz_convert(calendar.tz).strftime("%H:%M")
                    early = "" if local == USUAL[name] else local
                    rows.writerow((name, day.date(), early))
                self.stdout.write(f"{name}: {len(calendar.sessions)} days, until {until}")


def _known_until(name: str) -> Any:
    """Return the last day that the library knows the holidays of."""
    calendar = exchange_calendars.get_calendar(name)
    return calendar.bound_max() or calendar.default_end()
