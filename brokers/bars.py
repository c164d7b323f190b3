"""Minute bars of the mark: what a symbol's chart is drawn from. Extremes within a minute count."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import models

from brokers.contract import QuoteUpdate
from execution_site.floor import statements
from execution_site.floor.columns import MONEY


class Bar(models.Model):
    """One minute of a symbol's mark, by the market's time; `at` is the minute's start."""

    instrument = models.ForeignKey("brokers.Instrument", on_delete=models.CASCADE)
    at = models.DateTimeField()
    open = models.DecimalField(**MONEY)
    high = models.DecimalField(**MONEY)
    low = models.DecimalField(**MONEY)
    close = models.DecimalField(**MONEY)

    class Meta:
        constraints = [models.UniqueConstraint(name="bar_once", fields=["instrument", "at"])]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.at:%Y-%m-%d %H:%M}"


def mark_of(update: QuoteUpdate) -> Decimal | None:
    """Return the mid, or the last trade where there is no two-sided book."""
    if update.bid is not None and update.ask is not None:
        return (update.bid + update.ask) / 2
    return update.last


class BarBuilder:
    """Builds bars in memory from every quote, and stores those that changed."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str, datetime], list[Decimal]] = {}

    def see(self, updates: Iterable[QuoteUpdate]) -> None:
        """Take quotes into their minutes' bars."""
        for update in updates:
            if (mark := mark_of(update)) is None:
                continue
            key = (update.symbol, update.as_of.replace(second=0, microsecond=0))
            bar = self._bars.get(key)
            if bar is None:
                self._bars[key] = [mark, mark, mark, mark]
                continue
            if mark > bar[1]:
                bar[1] = mark
            elif mark < bar[2]:
                bar[2] = mark
            bar[3] = mark

    def flush(self) -> None:
        """Store what was seen since the last time, joined to what is stored of the same minutes."""
        if not self._bars:
            return
        symbols, minutes = zip(*self._bars, strict=True)
        opens, highs, lows, closes = zip(*self._bars.values(), strict=True)
        params = (symbols, minutes, opens, highs, lows, closes)
        statements.run(_STORE, [list(column) for column in params])
        self._bars.clear()


def prune(symbol: str, *, before: datetime) -> None:
    """Forget a symbol's bars from before a time of its market."""
    Bar.objects.filter(instrument__symbol=symbol, at__lt=before).delete()


_STORE = """
INSERT INTO brokers_bar AS held (instrument_id, at, open, high, low, close)
SELECT i.id, b.at, b.open, b.high, b.low, b.close
FROM unnest(%s::text[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[],
            %s::numeric[]) AS b (symbol, at, open, high, low, close)
JOIN brokers_instrument i ON i.symbol = b.symbol
ON CONFLICT (instrument_id, at) DO UPDATE
    SET high = greatest(held.high, excluded.high), low = least(held.low, excluded.low),
        close = excluded.close
"""
