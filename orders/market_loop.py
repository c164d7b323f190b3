"""The market loop: quotes -> Greeks -> paper matching -> the venues' reports -> latest values."""

import json
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction
from django.utils import timezone

from brokers import quotes
from brokers.contract import BrokerError, QuoteUpdate
from brokers.instruments import decimal_text
from brokers.models import BrokerConnection
from brokers.paper.venue import match
from execution_site import bus, leases
from execution_site.models import ProcessStatus
from orders import breaker_watch, group_view, monitoring
from orders.history_keeper import HistoryKeeper
from orders.payloads import time_text
from orders.selectors import SHOWN_GROUPS, shown_quotes
from portfolio.greeks_keeper import GreeksKeeper
from portfolio.holding import unrealized_pnl
from portfolio.models import Position

STEP_SECONDS = 0.25
LEASE = "market_loop"
LEASE_TTL = timedelta(seconds=3)
PROCESS_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Feed(Protocol):
    """Where quotes come from."""

    def step(self, now: datetime) -> Sequence[QuoteUpdate]:
        """Return what has moved since the last step."""


class MarketLoop:
    """One copy works, under its lease; the others stand by."""

    def __init__(self, feed: Feed | None, *, holder: str) -> None:
        self.feed = feed
        self.holder = holder
        self._processes_at = 0.0
        self._history = HistoryKeeper()
        self._greeks = GreeksKeeper()

    def step(self, *, now: datetime) -> bool:
        """Do one round; tell whether this copy holds the lease."""
        epoch = leases.acquire(LEASE, self.holder, ttl=LEASE_TTL)
        if epoch is None:
            return False
        updates = list(self.feed.step(now)) if self.feed else []
        if updates:
            with transaction.atomic(durable=True):
                leases.fence(LEASE, epoch)
                quotes.store(updates, now=now)
        symbols = [update.symbol for update in updates]
        self._greeks.see(symbols)
        if shows_greeks := self._greeks.is_due:
            self._greeks.keep(now=now)
        match(symbols, now=now)  # without quotes too: orders expire
        self._follow(now=now)
        self._publish(symbols, greeks=shows_greeks, now=now)
        self._history.see(updates)
        if self._history.is_due:
            live = BrokerConnection.objects.enabled().filter(marketclock=None)
            self._history.keep(dict.fromkeys(live, now))
            breaker_watch.evaluate(now=now)
        return True

    def _follow(self, *, now: datetime) -> None:
        """Read a page of each venue's reports: one that is away, or busy, holds up nobody."""
        for account, connection_id in BrokerConnection.objects.enabled().values_list("name", "pk"):
            try:
                monitoring.follow(account, connection_id, now=now)
            except BrokerError as e:
                logger.warning("%s could not be followed: %s", account, e)

    def _publish(self, symbols: Sequence[str], *, greeks: bool, now: datetime) -> None:
        """Push the latest quotes, marks, Greeks and process states; nothing here is kept."""
        if symbols:
            publish_latest(symbols)
        frames = []
        if time.monotonic() - self._processes_at >= PROCESS_SECONDS:
            self._processes_at = time.monotonic()
            frames += [_process(row, now=now) for row in ProcessStatus.objects.all()]
        if greeks:
            frames += [
                _frame("greeks", row, as_of=now, account=row["account"])
                for row in self._greeks.shown(now=now)
            ]
            frames += [
                _frame("group_mark", row, as_of=now, account=row["account"])
                for row in group_view.rows(group_view.moving(SHOWN_GROUPS))
            ]
        if frames:
            bus.publish(bus.LATEST, json.dumps(frames))


def run(feed: Feed | None, *, holder: str) -> None:
    """Step for ever, a quarter of a second apart."""
    loop = MarketLoop(feed, holder=holder)
    while True:
        started = time.monotonic()
        loop.step(now=timezone.now())
        time.sleep(max(0.0, STEP_SECONDS - (time.monotonic() - started)))


def publish_latest(symbols: Sequence[str]) -> None:
    """Push the latest quotes and marks of these symbols; nothing of it is kept."""
    moved = shown_quotes().filter(instrument__symbol__in=symbols)
    frames = [
        _frame("quote", quotes.quote_json(q, q.instrument.symbol), as_of=q.as_of) for q in moved
    ]
    bus.publish(bus.LATEST, json.dumps(frames + _marks(symbols)))


def _marks(symbols: Sequence[str]) -> list[dict[str, Any]]:
    """Return the marks of the open positions in these symbols."""
    held = Position.objects.filter(instrument__symbol__in=symbols).exclude(quantity=0)
    frames = []
    for position in held.select_related("connection", "instrument", "instrument__quote"):
        instrument = position.instrument
        if (mark := instrument.quote.mark) is None:
            continue
        pnl = unrealized_pnl(position.holding, mark=mark, multiplier=instrument.multiplier)
        data = {
            "id": position.pk,
            "account": position.connection.name,
            "strategy": position.strategy,
            "symbol": instrument.symbol,
            "currency": instrument.currency,
            "quantity": decimal_text(position.quantity),
            "last_price": decimal_text(mark),
            "unrealized_pnl": decimal_text(pnl),
            "marked_at": time_text(instrument.quote.as_of),
        }
        frames.append(
            _frame("mark", data, as_of=instrument.quote.as_of, account=position.connection.name)
        )
    return frames


def _process(row: ProcessStatus, *, now: datetime) -> dict[str, Any]:
    data = {
        "name": row.name,
        "state": row.state,
        "since": time_text(row.since),
        "restarts": row.restarts,
        "last_exit": row.last_exit,
        "age": max(0, int((now - row.updated_at).total_seconds())),
    }
    return _frame("process", data, as_of=now)


def _frame(
    type: str, data: dict[str, Any], *, as_of: datetime, account: str = ""
) -> dict[str, Any]:
    return {"type": type, "as_of": time_text(as_of), "account": account, "data": data}
