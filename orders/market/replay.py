"""A recorded market goes through the real system, on a clock of its own, as the market comes.

Every quote is looked at: by the strategy, and by the account's working orders. It is stored where
it changes an order, where a signal is due, and four times a second for whoever looks on; the quotes
between change nothing that is kept. Where a signal is due the market waits until the signal is
answered and its order works or has ended, so that a second run gives the same fills.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from django.db.models import Q
from django.utils import timezone

from brokers import clocks, quotes
from brokers.contract import QuoteUpdate
from brokers.feeds.recorded import Arrival
from brokers.models import BrokerConnection, Instrument
from brokers.paper.venue import match_account
from brokers.paper.watch import Watch
from execution_site.floor import leases
from execution_site.floor.apart import fenced
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.market import replay_account
from orders.market.history import HistoryKeeper
from orders.market.loop import publish_latest
from orders.models import Order
from orders.sending import venue_queries
from portfolio import revaluation
from risk import days

SHOW_SECONDS = 0.25
LEASE_TTL = timedelta(seconds=10)
SETTLE_SECONDS = 60.0
SETTLE_POLL_SECONDS = 0.002
MOVING = (OrderStatus.PENDING, OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT, OrderStatus.SUBMITTED)


class NotSettled(Exception):
    """An order neither worked nor ended in time: a worker is missing, or its venue."""


class LeaseTaken(Exception):
    """The account's market is being replayed by somebody else."""


class Strategy(Protocol):
    """Whoever takes part in lock-step."""

    def see(self, update: QuoteUpdate) -> bool:
        """Look at a quote and tell whether to send signals at it."""

    def go(self) -> None:
        """Send them, and return when they are answered."""


class Pace(Protocol):
    """How fast the market goes."""

    def wait(self, at: datetime) -> None:
        """Return when it is time for what happened at `at`."""


class AsFastAsItGoes:
    """No pace at all."""

    lag = 0.0

    def wait(self, at: datetime) -> None:
        """Return at once."""


class Recorded:
    """The recorded pace, or a multiple of it. `lag` is how far behind it we are, in seconds."""

    def __init__(self, speed: float) -> None:
        self.speed, self.lag = speed, 0.0
        self._first: datetime | None = None
        self._started = 0.0

    def wait(self, at: datetime) -> None:
        """Sleep until it is time, or note the lag."""
        if self._first is None:
            self._first, self._started = at, time.monotonic()
        due = self._started + (at - self._first).total_seconds() / self.speed
        early = due - time.monotonic()
        self.lag = max(0.0, -early)
        if early > 0:
            time.sleep(early)


@dataclass
class Tally:
    """What a replay has done so far."""

    quotes: int = 0
    stored: int = 0
    signals_at: int = 0
    settle_seconds: float = 0.0
    latest: datetime | None = field(default=None)


class Replay:
    """The market of one account in one instrument, or in the contracts of a chain.

    :raises LeaseTaken: somebody else replays the account's market
    """

    def __init__(
        self,
        connection: BrokerConnection,
        instruments: Sequence[Instrument],
        *,
        holder: str,
        strategy: Strategy | None,
        pace: Pace,
    ) -> None:
        self.connection, self.instruments = connection, instruments
        self.strategy, self.pace = strategy, pace
        self.tally = Tally()
        self._holder = holder
        self._lease = f"replay.{connection.name}"
        self._watches = {each.symbol: Watch(connection, each) for each in instruments}
        self._underlyings = revaluation.underlyings_of(list(self._watches))
        self._unstored: dict[str, QuoteUpdate] = {}
        self._latest: QuoteUpdate | None = None
        self._shown_at = 0.0
        self._history = HistoryKeeper()
        self._held = self._taken()
        self._apart = fenced(self._held)
        self._reload()

    def begin(self, *, first: datetime) -> None:
        """Put the account on the replay's clock, on a market without quotes yet.

        :raises CannotReplay: the account has lived past that time, or on the wall's clock
        """
        with self._held.writing():
            replay_account.begin(self.connection, self.instruments, first=first)
        self._reload()

    def play(self, arrivals: Iterable[Arrival]) -> Iterable[Arrival]:
        """Put each arrival through the system, and yield it when that is done."""
        for arrival in arrivals:
            self.pace.wait(arrival.at)
            for update in arrival.updates:
                self._quote(update)
            for update in arrival.closes:
                if self.strategy is not None and self.strategy.see(update):
                    self._signals(update)
            yield arrival
        if self._latest is not None:
            self._store()
            self._history.keep({self.connection: self._latest.as_of}, apart=self._apart)

    def close(self) -> None:
        """Let go of the account's market."""
        leases.release(self._lease, self._holder)

    def _quote(self, update: QuoteUpdate) -> None:
        """Look at a quote; store it where it matters."""
        self.tally.quotes += 1
        self.tally.latest = update.as_of
        if self._history.see([update]) and self._latest is not None:
            # The minute that ends is sampled at its own last quote.
            self._store()
            self._history.keep({self.connection: self._latest.as_of}, apart=self._apart)
        self._latest = self._unstored[update.symbol] = update
        concerned = self._watches[update.symbol].concerned(update)
        due = time.monotonic() - self._shown_at >= SHOW_SECONDS
        if concerned or due:
            self._store(concerned, update)
        if due:
            self._shown_at = time.monotonic()
            self._renew()
            publish_latest([update.symbol])

    def _signals(self, update: QuoteUpdate) -> None:
        """Stand still at a quote while the strategy sends its signals."""
        self.tally.signals_at += 1
        self._store()
        self._evaluate(now=update.as_of)
        if self.strategy is not None:
            self.strategy.go()
        self._wait_until_settled()
        self._reload()

    def _evaluate(self, *, now: datetime) -> None:
        """Work out the account's day and its market's Greeks, for the gate to judge by."""
        day = self.connection.trading_date(now)
        with self._held.writing():
            days.evaluate(connection_id=self.connection.pk, now=now, trading_date=day)
            revaluation.revalue(self._underlyings, now=now)

    def _store(self, concerned: Iterable[int] = (), by: QuoteUpdate | None = None) -> None:
        """Make the latest quotes the market, with its clock; then see to the orders concerned."""
        updates = list(self._unstored.values())
        self._unstored.clear()
        if updates:
            self.tally.stored += len(updates)
            with self._held.writing():
                quotes.store(updates, now=timezone.now())
                clocks.set_clock(self.connection, max(update.as_of for update in updates))
        if order_ids := list(concerned):
            parts = {by.symbol: by.bar} if by is not None and by.bar is not None else {}
            account, now = self.connection.name, timezone.now()
            match_account(account, order_ids, now=now, parts=parts, held=self._held)
            self._follow()
            self._wait_until_settled()
        self._reload()

    def _reload(self) -> None:
        for watch in self._watches.values():
            watch.reload()

    def _follow(self) -> None:
        name, pk = self.connection.name, self.connection.pk
        while venue_queries.follow(name, pk, now=timezone.now(), held=self._held):
            pass

    def _wait_until_settled(self) -> None:
        """Wait until every order of the account works or has ended.

        :raises NotSettled: one did not in time
        """
        started = time.monotonic()
        working = Order.objects.filter(connection=self.connection, status__in=OPEN)
        moving = working.filter(Q(status__in=MOVING) | ~Q(pending_action=PendingAction.NONE))
        while moving.exists():
            if time.monotonic() - started > SETTLE_SECONDS:
                raise NotSettled(f"an order of {self.connection} is still on its way")
            time.sleep(SETTLE_POLL_SECONDS)
        self.tally.settle_seconds += time.monotonic() - started

    def _taken(self) -> leases.Held:
        held = leases.acquire(self._lease, self._holder, ttl=LEASE_TTL)
        if held is None:
            raise LeaseTaken(f"the market of {self.connection} is being replayed already")
        return held

    def _renew(self) -> None:
        """Keep the lease.

        :raises LeaseTaken: somebody else has it, or had it: the market is not as we left it
        """
        if self._taken() != self._held:
            raise LeaseTaken(f"the market of {self.connection} was replayed by somebody else")
