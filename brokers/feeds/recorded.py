"""Recorded market data: ticks, quote bars and trade bars from CSV files, in the order of arrival.

A file's header says what it holds: `bid, ask` are ticks; `bid_open .. ask_size` quote bars;
`open, high, low, close` trade bars. Its time column is `ms_since_midnight_ZONE` (utc, ist, ny) of
the date in the file's name or in a `date` column, or `datetime_utc`. Bars are stamped with their
start and used after their end alone: each becomes four updates at its end, as
`brokers/feeds/bar_path.py` says. A price that is missing or 0 is an empty
side. A size of 0 says that nobody is there, or that nothing was traded; only in a column that has
no other size at all it is unknown. A bar's one quoted size stands for each of its prices; its
traded volume is spread over the four.
"""

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from brokers.contract import QuoteUpdate
from brokers.feeds import bar_path
from brokers.feeds.bar_path import as_path
from execution_site.floor import text_files
from execution_site.floor.text_files import UnreadableFile

ZONES = {"utc": "UTC", "ist": "Asia/Kolkata", "ny": "America/New_York"}
STAMP = "ms_since_midnight_"
DAY_IN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}")
PERIOD_IN_NAME = re.compile(r"_(\d+)(m|h)_")
DAY_MINUTES = 24 * 60
TICK = ("bid", "ask")
QUOTE_BAR = tuple(
    f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close", "size")
)
TRADE_BAR = ("open", "high", "low", "close")
SYMBOL_IN_NAME = re.compile(r"^([a-z]+\d*[a-z]*)_", re.IGNORECASE)

#: What prices and sizes are stored as ends here.
LARGEST = Decimal(10) ** 18

Parser = Callable[[Sequence[str]], list[QuoteUpdate]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be used. `line` counts from 1, the header included."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What comes at one time: one row's updates, or those of all contracts of a chain.

    The last update of each symbol is its row's close.
    """

    line: int
    at: datetime
    updates: tuple[QuoteUpdate, ...]

    @property
    def closes(self) -> list[QuoteUpdate]:
        """Return the last update of each symbol."""
        return list({update.symbol: update for update in self.updates}.values())


class RecordedFile:
    """One file of one symbol.

    :raises UnreadableFile: no such file, or its header or name do not say what it holds
    """

    def __init__(self, path: Path, *, symbol: str) -> None:
        self.path, self.symbol = path, symbol
        header, _ = text_files.table(path)
        self._column = {name: index for index, name in enumerate(header)}
        self._look_at_columns()
        self.is_bars = not self._has(TICK)
        if self._has(QUOTE_BAR):
            self._prices: Callable[[Sequence[str], datetime], tuple[QuoteUpdate, ...]] = (
                self._quote_bar
            )
        elif self._has(TRADE_BAR):
            self._prices = self._trade_bar
        elif self._has(TICK):
            self._prices = self._tick
        else:
            raise UnreadableFile(f"{path.name}: neither ticks, quote bars nor trade bars")
        self._volume = next((n for n in self._column if n.startswith("volume")), "")
        self._told = self._sizes_told()
        self.period = self._period() if self.is_bars else timedelta()
        self._stamp, self.zone = self._time_column()
        self._day = _day_in(path.name)
        if "date" not in self._column and self._stamp != "datetime_utc" and self._day is None:
            raise UnreadableFile(f"{path.name}: neither its name nor a column gives the date")
        self._days: dict[str, tuple[datetime, datetime]] = {}  # by date, its two midnights

    def _look_at_columns(self) -> None:
        if is_chain(self._column):
            raise UnreadableFile(f"{self.path.name}: holds more than one instrument")

    def _symbol_of(self, _row: Sequence[str]) -> str:
        return self.symbol

    def arrivals(self, problems: list[Problem]) -> Iterator[Arrival]:
        """Yield what the file holds; rows that cannot be used are added to `problems`."""
        given: datetime | None = None
        held: Arrival | None = None  # until the row below shows that it did not run ahead
        for line, row in text_files.table(self.path)[1]:
            try:
                arrival = self._arrival(line, row)
            except (ValueError, ArithmeticError, LookupError) as e:
                what = str(e) if isinstance(e, ValueError) else f"not readable: {row}"
                problems.append(Problem(line, what))
                continue
            if held is not None and arrival.at < held.at:
                if given is None or arrival.at < given:
                    problems.append(Problem(line, f"{arrival.at} is before the row above it"))
                    continue
                problems.append(Problem(held.line, f"{held.at} is after the row below it"))
            elif held is not None:
                given = held.at
                yield held
            held = arrival
        if held is not None:
            yield held

    def _arrival(self, line: int, row: Sequence[str]) -> Arrival:
        if len(row) > len(self._column):
            raise ValueError("more values than columns")
        at = self._at(row) + self.period
        return Arrival(line, at, self._prices(row, at))

    def _has(self, names: Sequence[str]) -> bool:
        return all(name in self._column for name in names)

    def _at(self, row: Sequence[str]) -> datetime:
        if self._stamp == "datetime_utc":
            return datetime.strptime(row[self._column[self._stamp]], "%Y%m%d %H:%M").replace(
                tzinfo=UTC
            )
        text = row[self._column["date"]] if "date" in self._column else ""
        if text not in self._days:
            local = text_files.day(text) if text else self._day
            if local is None:
                raise ValueError("no date")
            self._days[text] = self._midnight(local), self._midnight(local + timedelta(days=1))
        begins, ends = self._days[text]
        since = int(row[self._column[self._stamp]])
        if not 0 <= since < (ends - begins) / timedelta(milliseconds=1):
            raise ValueError(f"{self._stamp} {since} lies outside its day")
        return begins + timedelta(milliseconds=since)

    def _midnight(self, local: date) -> datetime:
        return datetime.combine(local, time.min, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def _tick(self, row: Sequence[str], at: datetime) -> tuple[QuoteUpdate, ...]:
        bid, ask = (_price(row[self._column[name]], name) for name in TICK)
        return (bar_path.book_quote(self._symbol_of(row), at, bid, ask),)

    def _quote_bar(self, row: Sequence[str], at: datetime) -> tuple[QuoteUpdate, ...]:
        bids, asks = (
            as_path(*(_price(row[self._column[f"{side}_{part}"]], side) for part in TRADE_BAR))
            for side in ("bid", "ask")
        )
        sizes = self._size(row, "bid_size"), self._size(row, "ask_size")
        return bar_path.quote_bar(self._symbol_of(row), at, bids, asks, sizes)

    def _trade_bar(self, row: Sequence[str], at: datetime) -> tuple[QuoteUpdate, ...]:
        prices = as_path(*(_price(row[self._column[name]], name) for name in TRADE_BAR))
        volume = self._size(row, self._volume)
        return bar_path.trade_bar(self._symbol_of(row), at, prices, volume)

    def _sizes_told(self) -> frozenset[str]:
        """Return the columns of sizes that have any: where all are 0, none is given."""
        names = {n for n in ("bid_size", "ask_size", self._volume) if n in self._column}
        told: set[str] = set()
        for _, row in text_files.table(self.path)[1] if names else ():
            shown = dict(zip(self._column, row, strict=False))
            told |= {name for name in names if shown.get(name, "").strip(" 0.")}
            if told == names:
                break
        return frozenset(told)

    def _size(self, row: Sequence[str], column: str) -> Decimal | None:
        """Return a size in the row, or None where the column has none."""
        return _size(row[self._column[column]]) if column in self._told else None

    def _period(self) -> timedelta:
        found = PERIOD_IN_NAME.search(self.path.name)
        if found is None:
            raise UnreadableFile(f"{self.path.name}: its name does not give the bars' period")
        minutes = int(found[1]) * (60 if found[2] == "h" else 1)
        if not 0 < minutes <= DAY_MINUTES:
            raise UnreadableFile(f"{self.path.name}: {found[1]}{found[2]} is no bars' period")
        return timedelta(minutes=minutes)

    def _time_column(self) -> tuple[str, str]:
        if "datetime_utc" in self._column:
            return "datetime_utc", "UTC"
        for zone, name in ZONES.items():
            if STAMP + zone in self._column:
                return STAMP + zone, name
        raise UnreadableFile(f"{self.path.name}: no time column ({STAMP}utc, ist or ny)")


def is_chain(columns: Container[str]) -> bool:
    """Tell whether a file with these columns holds the contracts of an option chain."""
    return "strike" in columns


def holds_chain(path: Path) -> bool:
    """Tell whether a file holds the contracts of an option chain.

    :raises UnreadableFile: no such file, or no table
    """
    return is_chain(text_files.table(path)[0])


def symbol_of(path: Path) -> str:
    """Return the symbol a file's name begins with.

    :raises UnreadableFile: it begins with none
    """
    if (found := SYMBOL_IN_NAME.match(path.name)) is None:
        raise UnreadableFile(f"{path.name}: its name does not begin with a symbol")
    return found[1].upper()


def _day_in(name: str) -> date | None:
    """Return the date in a file's name, None where there is none.

    :raises UnreadableFile: it does not exist
    """
    if (found := DAY_IN_NAME.search(name)) is None:
        return None
    try:
        return text_files.day(found[0])
    except ValueError as e:
        raise UnreadableFile(f"{name}: {e}") from e


def _price(text: str, name: str) -> Decimal | None:
    if not text:
        return None
    price = Decimal(text)
    if not price.is_finite() or not 0 <= price < LARGEST:
        raise ValueError(f"{name} {text} is no price")
    return price


def _size(text: str) -> Decimal | None:
    if not text:
        return None
    size = Decimal(text)
    if not size.is_finite() or not 0 <= size < LARGEST:
        raise ValueError(f"size {text} is no size")
    return size
