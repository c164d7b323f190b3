"""Keeps what charts are drawn from: bars of every quote, and each account minute by minute."""

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from brokers import bars
from brokers.bars import BarBuilder
from brokers.contract import QuoteUpdate
from brokers.models import BrokerConnection
from execution_site.floor.apart import Apart
from portfolio import history
from risk import days

KEEP_SECONDS = 1.0
POINTS_KEPT = timedelta(days=30)
BARS_KEPT = timedelta(days=7)


class HistoryKeeper:
    """Looks at every quote; stores once a second, and whenever a market's minute ends."""

    def __init__(self) -> None:
        self._bars = BarBuilder()
        self._kept_at = 0.0
        self._minute: datetime | None = None
        self._newest: dict[str, datetime] = {}
        self._days: dict[int, date] = {}
        self._pruned: dict[str, date] = {}

    def see(self, updates: Sequence[QuoteUpdate]) -> bool:
        """Look at quotes; tell whether they begin a new minute of the market."""
        if not updates:
            return False
        self._bars.see(updates)
        minute = updates[-1].as_of.replace(second=0, microsecond=0)
        self._newest |= {update.symbol: minute for update in updates}
        begins, self._minute = minute != self._minute, minute
        return begins

    @property
    def is_due(self) -> bool:
        """Tell whether a second has gone by since it last stored."""
        return time.monotonic() - self._kept_at >= KEEP_SECONDS

    def keep(self, accounts: Mapping[BrokerConnection, datetime], *, apart: Apart) -> None:
        """Store the bars, and each account at its market's time."""
        self._kept_at = time.monotonic()
        with apart("bars"):
            self._bars.flush()
        for connection, now in accounts.items():
            day = connection.trading_date(now)
            with apart(f"the minute of {connection.name}"):
                history.sample(connection_id=connection.pk, now=now, trading_date=day)
            with apart(f"the day of {connection.name}"):
                days.evaluate(connection_id=connection.pk, now=now, trading_date=day)
            if self._days.get(connection.pk) != day:
                self._days[connection.pk] = day
                with apart(f"old minutes of {connection.name}"):
                    history.prune(connection_id=connection.pk, before=day - POINTS_KEPT)
        for symbol, minute in self._newest.items():
            if self._pruned.get(symbol) != minute.date():
                self._pruned[symbol] = minute.date()
                with apart(f"old bars of {symbol}"):
                    bars.prune(symbol, before=minute - BARS_KEPT)
