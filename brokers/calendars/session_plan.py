"""Which sessions exchanges have: trading days x hours in force, and what is special about a date.

Trading days come from a kept library (`manage.py make_trading_days` writes trading_days.csv); hours
and special sessions are dated rows, kept by hand beside it. `-17:00` is 17:00 of the day before. A
special session takes the place of the date's ordinary one; without times the exchange is closed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar

from brokers.calendars import exchanges
from execution_site.floor import text_files

FOLDER = Path(__file__).parents[1] / "calendar_data"
DAY = timedelta(days=1)
T = TypeVar("T")
WEEKDAYS = "WEEKDAYS"
LENGTHS = {"exchange": 32, "note": 100}


class UnreadableCalendar(ValueError):
    """A line of a calendar file that cannot be read."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session of an exchange, its times aware."""

    exchange: str
    trading_date: date
    opens_at: datetime
    closes_at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hours:
    """When an exchange is open on an ordinary day, from one date until another."""

    exchange: str
    days: str
    since: date
    until: date
    opens: tuple[int, time]
    closes: tuple[int, time]
    note: str


def sessions(first: date, last: date, *, folder: Path = FOLDER) -> Iterator[Session]:
    """Yield every session with a trading date from `first` to `last`, both included.

    :raises UnreadableCalendar: naming file and line
    :raises UnreadableFile: one of the files is no table
    """
    days = _trading_days(folder / "trading_days.csv")
    special = _special(folder / "special_sessions.csv")
    hours = defaultdict(list)
    for row in _rows(folder / "hours.csv", _hours):
        hours[row.exchange].append(row)
    for exchange, in_turn in hours.items():
        for day in _dates(first, last):
            if (exchange, day) in special:
                if (session := special[exchange, day]) is not None:
                    yield session
                continue
            for row in in_turn:
                if row.since <= day <= row.until and _trades(day, row.days, days):
                    early = days.get(row.days, {}).get(day)
                    yield _session(row, day, early)


def _trades(day: date, named: str, days: dict[str, dict[date, time | None]]) -> bool:
    return day.weekday() < 5 if named == WEEKDAYS else day in days.get(named, {})


def _session(hours: Hours, day: date, early: time | None) -> Session:
    (before, opens), (_, closes) = hours.opens, hours.closes
    if early and not before and early <= opens:
        raise UnreadableCalendar(f"trading_days.csv: {hours.days} closes at {early} on {day}")
    return Session(
        hours.exchange,
        day,
        exchanges.at(day - before * DAY, opens, hours.exchange),
        exchanges.at(day, early or closes, hours.exchange),
        "early close" if early else hours.note,
    )


def _dates(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY


def _trading_days(path: Path) -> dict[str, dict[date, time | None]]:
    """Return, for each calendar, its trading days with the time of an early close."""
    days: dict[str, dict[date, time | None]] = defaultdict(dict)
    for name, day, closes in _rows(
        path,
        lambda row: (row["days"], text_files.day(row["date"]), row["early_close"]),
    ):
        days[name][day] = time.fromisoformat(closes) if closes else None
    return days


def _special(path: Path) -> dict[tuple[str, date], Session | None]:
    def read(row: dict[str, str]) -> tuple[str, date, Session | None]:
        exchange, day = row["exchange"], text_files.day(row["date"])
        if not row["opens"] and not row["closes"]:
            return exchange, day, None
        opens, closes = (
            exchanges.at(day, time.fromisoformat(row[name]), exchange)
            for name in ("opens", "closes")
        )
        if closes <= opens:
            raise ValueError(f"{row['opens']} is not before {row['closes']}")
        return exchange, day, Session(exchange, day, opens, closes, row["note"])

    return {(exchange, day): session for exchange, day, session in _rows(path, read)}


def _hours(row: dict[str, str]) -> Hours:
    (before, opens), (_, closes) = _clock(row["opens"]), _clock(row["closes"])
    if not before and closes <= opens:
        raise ValueError(f"{row['opens']} is not before {row['closes']}")
    return Hours(
        row["exchange"],
        row["days"],
        text_files.day(row["from"]) if row["from"] else date.min,
        text_files.day(row["until"]) if row["until"] else date.max,
        (before, opens),
        (0, closes),
        row["note"],
    )


def _clock(text: str) -> tuple[int, time]:
    """Return how many days before, and the time."""
    return int(text.startswith("-")), time.fromisoformat(text.removeprefix("-"))


def _rows(path: Path, read: Callable[[dict[str, str]], T]) -> Iterator[T]:
    columns, rows = text_files.table(path)
    for number, values in rows:
        try:
            row = text_files.named(columns, values)
            if long := [name for name, most in LENGTHS.items() if len(row.get(name, "")) > most]:
                raise ValueError(f"{long[0]}: longer than {LENGTHS[long[0]]} characters")  # noqa: TRY301
            yield read(row)
        except KeyError as e:
            raise UnreadableCalendar(f"{path.name}, line 1: no column {e}") from e
        except ValueError as e:
            raise UnreadableCalendar(f"{path.name}, line {number}: {e}") from e
