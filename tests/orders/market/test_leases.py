"""A singleton that was paused, and lost its lease meanwhile, writes nothing when it wakes."""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.db import connection, transaction
from django.db.models import F

from brokers.contract import OrderType, QuoteUpdate
from brokers.feeds.recorded import Arrival
from brokers.models import Instrument
from execution_site.floor.events import EventType, record_event
from execution_site.floor.leases import Lease, LeaseLost
from execution_site.trail import anchors, sealer
from execution_site.trail.auditor import Auditor
from execution_site.trail.sealer import Sealer
from orders.control import breakers
from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.market import loop, replay, replay_account
from orders.market.history import HistoryKeeper
from orders.market.loop import MarketLoop
from orders.market.replay import AsFastAsItGoes, LeaseTaken, Replay
from orders.models import Action
from orders.sending import submission, venue_queries
from portfolio.greeks_keeper import GreeksKeeper
from risk.models import Breaker
from tests.clock import now

OPTION = "AAPL-2099-01-02-100-CE"
START = datetime(2026, 3, 2, 15, tzinfo=UTC)
TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'execution_site_lease'
"""


def everything():
    """Return what the database holds, but for leases, and what the anchors' file does."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
            found[table] = cursor.fetchone()[0]
    file = anchors.path()
    return found | {"anchors": file.read_text() if file.exists() else ""}


class Pause:
    """Stops a singleton where it is about to write; meanwhile its lease may go to another."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch

    def wrote(self, go, owner, name, *, losing=None):
        """Return where a singleton wrote that was paused where `name` is called, and woke."""
        original, asleep, awake = getattr(owner, name), threading.Lock(), threading.Event()
        wrote = set()

        def paused(*args, **kwargs):
            if not asleep.acquire(blocking=False):
                return original(*args, **kwargs)
            if losing:
                take(losing)
            before = everything()
            try:
                return original(*args, **kwargs)
            finally:
                after = everything()
                wrote.update(place for place in before if before[place] != after[place])
                awake.set()

        with self._monkeypatch.context() as patched:
            patched.setattr(owner, name, paused)
            with suppress(LeaseLost, LeaseTaken):
                go()
            assert awake.wait(10), f"{name} was never called"
        return wrote


def take(lease):
    held = Lease.objects.get(name=lease)
    held.holder, held.epoch = "another", held.epoch + 1
    held.expires_at = now() + timedelta(minutes=1)
    held.save()


def give_back(lease):
    Lease.objects.filter(name=lease).update(holder="first", epoch=F("epoch") - 1)


@pytest.fixture
def files(db, valkey, tmp_path, settings):
    """The anchors' files are the test's own."""
    settings.DATA_DIR = str(tmp_path)
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "elsewhere.jsonl")


@pytest.fixture
def sealing(files):
    """A sealer that has something to seal and to anchor, each time."""
    working = Sealer(holder="first")

    def go():
        with transaction.atomic():
            record_event(EventType.ORDER, {}, account="paper", at=now())
        working._anchored_at = 0.0
        working.step()

    return go


@pytest.fixture
def auditing(sealing):
    """The auditor beside it, with a head that it has sent nowhere and a log to verify."""
    sealing()
    watching = Auditor(holder="first")
    return lambda: watching.look(now=now())


class Falling:
    """A market that falls at every step."""

    def __init__(self):
        self.price = 100

    def step(self, at):
        self.price -= 5
        return [falling("AAPL", self.price, at), falling(OPTION, self.price, at)]


def falling(symbol, price, at):
    return QuoteUpdate(symbol=symbol, as_of=at, bid=Decimal(price - 1), ask=Decimal(price))


@pytest.fixture
def market(files, account, trader, quote):
    """A loop that has something to keep of each kind, each time."""
    option = {"kind": "OPTION", "currency": "USD", "tick_size": 1, "lot_size": 1, "strike": 100}
    expiry = {"right": "CE", "expiry_date": date(2099, 1, 2), "underlying": "AAPL"}
    Instrument.objects.create(symbol=OPTION, **option, **expiry)
    quote("AAPL", bid=99, ask=100)
    for limit_price in (None, 97, 92):
        buy(trader, account, "AAPL", limit_price)
    Breaker.objects.create(kind="venue_errors", threshold=100, connection=account)
    working = MarketLoop(Falling(), holder="first")

    def go():
        working._history._kept_at = working._greeks._kept_at = -1_000.0
        working.step()

    return go


def buy(client, account, symbol, limit_price):
    request = SignalRequest(
        account=account.name,
        signal_id=f"{symbol} {limit_price}",
        strategy="alpha",
        symbol=symbol,
        action=Action.BUY,
        quantity=Decimal(5),
        order_type=OrderType.LIMIT if limit_price else OrderType.MARKET,
        limit_price=limit_price and Decimal(limit_price),
        body={},
    )
    outcome = submit_signal(request, client=client, now=now())
    assert outcome.status == 202, outcome.body
    submission.transmit(outcome.order_id, now=now())


class Idle:
    """A strategy that would send signals at each bar, and sends none."""

    def see(self, update):
        return True

    def go(self):
        pass


@pytest.fixture
def beginning(files, account, quote):
    """A replay that begins, each time on a market with quotes of before."""
    instrument = replay_account.instrument_for("AAPL.R", like="AAPL")
    replayed = replay_account.account_for("replayed", instrument, zone="UTC", settings={})
    pace = AsFastAsItGoes()
    running = Replay(replayed, [instrument], holder="first", strategy=Idle(), pace=pace)

    def go():
        quote("AAPL.R", bid=99, ask=100)
        running.begin(first=START)

    return go


@pytest.fixture
def replaying(files, trader):
    """A replay with orders that rest below its market, which falls each time."""
    instrument = replay_account.instrument_for("AAPL.R", like="AAPL")
    account = replay_account.account_for("replayed", instrument, zone="UTC", settings={})
    trader.accounts.add(account)
    pace = AsFastAsItGoes()
    running = Replay(account, [instrument], holder="first", strategy=Idle(), pace=pace)
    market, seconds = Falling(), count()

    def play():
        at = START + timedelta(seconds=next(seconds))
        update = replace(market.step(at)[0], symbol="AAPL.R")
        list(running.play([Arrival(1, at, (update,))]))

    running.begin(first=START)
    market.price += 5
    play()
    for limit_price in (None, 97, 92):
        buy(trader, account, "AAPL.R", limit_price)
    running._reload()

    return play


@pytest.mark.parametrize(
    ("singleton", "lease", "owner", "name", "table"),
    [
        ("sealing", sealer.LEASE, Sealer, "_seal", "execution_site_seal"),
        ("sealing", sealer.LEASE, Sealer, "_anchor", "anchors"),
        ("auditing", sealer.LEASE, Auditor, "_anchor", "execution_site_event"),
        ("auditing", sealer.LEASE, Auditor, "_verify", "execution_site_auditcheck"),
        ("market", loop.LEASE, MarketLoop, "_quote", "brokers_quote"),
        ("market", loop.LEASE, GreeksKeeper, "keep", "portfolio_optiongreeks"),
        ("market", loop.LEASE, loop, "match", "brokers_paperorder"),
        ("market", loop.LEASE, venue_queries, "follow", "orders_streamcursor"),
        ("market", loop.LEASE, HistoryKeeper, "keep", "risk_dayresult"),
        ("market", loop.LEASE, breakers, "evaluate", "risk_breaker"),
        ("beginning", "replay.replayed", Replay, "begin", "brokers_quote"),
        ("replaying", "replay.replayed", Replay, "_store", "brokers_marketclock"),
        ("replaying", "replay.replayed", replay, "match_account", "brokers_paperorder"),
        ("replaying", "replay.replayed", venue_queries, "follow", "orders_streamcursor"),
        ("replaying", "replay.replayed", HistoryKeeper, "keep", "portfolio_pnlpoint"),
        ("replaying", "replay.replayed", Replay, "_evaluate", "risk_dayresult"),
    ],
)
def test_one_that_lost_its_lease_while_paused_writes_nothing(
    request, monkeypatch, singleton, lease, owner, name, table
):
    go, pause = request.getfixturevalue(singleton), Pause(monkeypatch)

    assert pause.wrote(go, owner, name, losing=lease) == set()
    give_back(lease)
    assert table in pause.wrote(go, owner, name)
