"""The market loop: quotes -> Greeks -> paper matching -> latest values -> days and breakers.

Venues are followed beside it (orders/market/following.py): nothing here waits for one.
"""

import json
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.utils import timezone

from brokers import quotes
from brokers.contract import QuoteUpdate
from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection
from brokers.paper.venue import match
from execution_site.floor import bus, leases, processes
from execution_site.floor.apart import Apart, guarded, refuse_old, under_lease
from execution_site.floor.outages import Causes
from orders.control import breakers
from orders.groups import view
from orders.market.following import Followers
from orders.market.history import HistoryKeeper
from orders.payloads import time_text
from orders.reports.selectors import SHOWN_GROUPS, shown_quotes
from portfolio.greeks_keeper import GreeksKeeper
from portfolio.holding import unrealized_pnl
from portfolio.models import Position
from portfolio.payloads import money_text

STEP_SECONDS = 0.25
LEASE = "market_loop"
LEASE_TTL = timedelta(seconds=3)
PROCESS_SECONDS = 1.0
SETTLE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Feed(Protocol):
    """Where quotes come from."""

    def step(self, now: datetime) -> Sequence[QuoteUpdate]:
        """Return what has moved since the last step."""


class MarketLoop:
    """One copy works, under its lease; the others stand by.

    Whatever fails, or is locked elsewhere, is left out of a round, and all else goes on.
    """

    def __init__(self, feed: Feed | None, *, holder: str) -> None:
        self.feed = feed
        self.holder = holder
        self._held: leases.Held | None = None
        self._processes_at = 0.0
        self._causes = Causes(logger, settle=SETTLE_SECONDS)
        self._followers = Followers()
        self._history = HistoryKeeper()
        self._greeks = GreeksKeeper()

    def step(self) -> bool:
        """Do one round; tell whether this copy holds the lease.

        Each part takes the time as it begins: a round may be long, or paused.
        """
        held = leases.acquire(LEASE, self.holder, ttl=LEASE_TTL)
        if held is None:
            return False
        if held != self._held:  # what was kept before is of another's time
            self._held, self._history, self._greeks = held, HistoryKeeper(), GreeksKeeper()
        apart = under_lease(held, self._causes)
        updates = self._quote(apart)
        symbols = [update.symbol for update in updates]
        self._greeks.see(symbols)
        if shows_greeks := self._greeks.is_due:
            self._greeks.keep(now=timezone.now(), apart=apart)
        with guarded("matching", self._causes):
            match(symbols, now=timezone.now(), held=held)  # without quotes too: orders expire
        self._followers.follow(BrokerConnection.objects.enabled().values_list("name", "pk"), held)
        with guarded("the push of latest values", self._causes):
            self._publish(symbols, greeks=shows_greeks, now=timezone.now())
        self._history.see(updates)
        if self._history.is_due:
            now = timezone.now()
            live = BrokerConnection.objects.enabled().filter(marketclock=None)
            self._history.keep(dict.fromkeys(live, now), apart=apart)
            breakers.evaluate(now=timezone.now(), apart=apart)
        return True

    def _quote(self, apart: Apart) -> Sequence[QuoteUpdate]:
        """Store what the feed has, but for quotes locked elsewhere; return what was stored."""
        if self.feed is None:
            return ()
        taken, now = time.monotonic(), timezone.now()

        def store(some: Sequence[QuoteUpdate], what: str) -> Sequence[QuoteUpdate]:
            with apart(what):
                quotes.store(some, now=now)
                refuse_old(taken)
                return some
            return ()

        updates = list(self.feed.step(now))
        if not updates:
            return ()
        if stored := store(updates, "quotes"):
            return stored
        held = quotes.locked([update.symbol for update in updates])
        free = [update for update in updates if update.symbol not in held]
        return store(free, "quotes that are not locked") if held and free else ()

    def _publish(self, symbols: Sequence[str], *, greeks: bool, now: datetime) -> None:
        """Push the latest quotes, marks, Greeks and process states; nothing here is kept."""
        if symbols:
            publish_latest(symbols)
        frames = []
        if time.monotonic() - self._processes_at >= PROCESS_SECONDS:
            self._processes_at = time.monotonic()
            frames += [_process(row, as_of=now) for row in processes.shown(now=now)]
        if greeks:
            frames += [
                _frame("greeks", row, as_of=now, account=row["account"])
                for row in self._greeks.shown(now=now)
            ]
            frames += [
                _frame("group_mark", row, as_of=now, account=row["account"])
                for row in view.rows(view.moving(SHOWN_GROUPS))
            ]
        if frames:
            bus.publish(bus.LATEST, json.dumps(frames))


def run(loop: MarketLoop, *, moved: Callable[[], None]) -> None:
    """Step for ever, a quarter of a second apart, telling `moved` of each."""
    while True:
        started = time.monotonic()
        loop.step()
        moved()
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
            "unrealized_pnl": money_text(pnl),
            "marked_at": time_text(instrument.quote.as_of),
        }
        frames.append(
            _frame("mark", data, as_of=instrument.quote.as_of, account=position.connection.name)
        )
    return frames


def _process(row: dict[str, Any], *, as_of: datetime) -> dict[str, Any]:
    return _frame("process", {**row, "since": time_text(row["since"])}, as_of=as_of)


def _frame(
    type: str, data: dict[str, Any], *, as_of: datetime, account: str = ""
) -> dict[str, Any]:
    return {"type": type, "as_of": time_text(as_of), "account": account, "data": data}
