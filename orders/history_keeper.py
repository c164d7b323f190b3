"""Keeps what charts are drawn from: bars of every quote, and each account minute by minute."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from brokers.bars import BarBuilder
from brokers.contract import QuoteUpdate
from brokers.models import BrokerConnection
from portfolio import history

KEEP_SECONDS = 1.0


class HistoryKeeper:
    """Looks at every quote; stores once a second, and whenever a market's minute ends."""

    def __init__(self) -> None:
        self._bars = BarBuilder()
        self._kept_at = 0.0
        self._minute: datetime | None = None

    def see(self, updates: Sequence[QuoteUpdate]) -> bool:
        """Look at quotes; tell whether they begin a new minute of the market."""
        if not updates:
            return False
        self._bars.see(updates)
        minute = updates[-1].as_of.replace(second=0, microsecond=0)
        begins, self._minute = minute != self._minute, minute
        return begins

    @property
    def is_due(self) -> bool:
        """Tell whether a second has gone by since it last stored."""
        return time.monotonic() - self._kept_at >= KEEP_SECONDS

    def keep(self, accounts: Mapping[BrokerConnection, datetime]) -> None:
        """Store the bars, and each account at its market's time."""
        self._kept_at = time.monotonic()
        self._bars.flush()
        for connection, now in accounts.items():
            day = connection.trading_date(now)
            history.sample(connection_id=connection.pk, now=now, trading_date=day)
