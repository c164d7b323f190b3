"""The demo: users, an account, instruments, limits and a key, each made once and never again."""

import json
import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q

from brokers.feeds.synthetic import INSTRUMENTS
from brokers.models import Broker, BrokerConnection, Environment, Instrument
from execution_site.demo import chain
from execution_site.floor import private_files
from execution_site.models import Seed
from execution_site.rest.permissions import KeyScope
from orders.models import ApiClient
from orders.models.client import issue_key
from risk import control
from risk.breakers import BreakerKind
from risk.facts import SystemMode
from risk.limits import Metric
from risk.models import Breaker, RiskLimit

ACCOUNT = "paper"
STRATEGY_CLIENT = "demo-strategy"
STRATEGIST = "strategist"  # whose client that is: nobody who can sign in, so anybody approves
TRADERS = "traders"
USERS = {"admin": "admin-demo", "trader": "trader-demo"}
LIMITS = {
    Metric.MAX_ORDER_QUANTITY: Decimal(100_000),
    Metric.MAX_GROSS_EXPOSURE: Decimal(50_000_000),
    Metric.MAX_OPEN_ORDERS: Decimal(200),
    Metric.DAILY_TRADES: Decimal(50_000),
}
BREAKERS = {
    BreakerKind.DAILY_LOSS: Decimal(50_000),
    BreakerKind.REJECTION_RATE: Decimal("0.5"),
    BreakerKind.VENUE_ERRORS: Decimal(20),
    BreakerKind.RUNAWAY: Decimal(4),
}
TRADER_PERMISSIONS = (
    "add_signal",
    "change_order",
    "change_mode",
    "engage_kill",
    "release_kill",
    "reset_breaker",
    "control_installation",
    "approve_change",
)


CHAIN = timedelta(days=max(chain.DAYS_AHEAD))


class Seeding:
    """What the demo has ever made or found. Each thing is made once, whatever becomes of it."""

    def __init__(self, *, now: datetime) -> None:
        self.now = now
        self._known = {row.name: row for row in Seed.objects.all()}
        self._new: list[Seed] = []

    def wants(self, name: str, *, there: bool) -> bool:
        """Tell whether to make something: it is not there, and never was. It is asked once."""
        if name in self._known:
            return False
        row = Seed(name=name, made=not there, seeded_at=self.now)
        self._known[name] = row
        self._new.append(row)
        return row.made

    def made(self, name: str) -> bool:
        """Tell whether something was made by the demo, now or before."""
        return name in self._known and self._known[name].made

    def lately(self, prefix: str, age: timedelta) -> bool:
        """Tell whether something of this prefix was seeded no longer ago than `age`."""
        return any(
            name.startswith(prefix) and self.now - row.seeded_at <= age
            for name, row in self._known.items()
        )

    def remember(self) -> None:
        """Store what was seeded, in the caller's transaction."""
        Seed.objects.bulk_create(self._new)
        self._new = []


def seed(*, now: datetime) -> bool:
    """Make what was never made of the demo and return whether it is new as of just now.

    What people have changed, ended or deleted since stays so.
    """
    seeding = Seeding(now=now)
    with transaction.atomic(durable=True):
        account = BrokerConnection.objects.filter(name=ACCOUNT)
        if is_new := seeding.wants("account", there=account.exists()):
            BrokerConnection.objects.create(
                name=ACCOUNT, broker=Broker.PAPER, environment=Environment.PAPER
            )
        _instruments(seeding)
        _users(seeding)
        if (connection := account.first()) is not None:
            _rules(seeding, connection)
            _clients(seeding, connection)
        _strategy_key(seeding)
        seeding.remember()
    _mode(seeding)
    return is_new


def key_file() -> Path:
    """Return where the demo strategy finds its key."""
    return Path(settings.DATA_DIR) / "demo-key.json"


def _instruments(seeding: Seeding) -> None:
    """Make the instruments; the chain again when the one before has expired."""
    specs, day = list(INSTRUMENTS), seeding.now.date()
    chained = seeding.lately("chain ", CHAIN) or bool(chain.contracts(seeding.now))
    if not chained and seeding.wants(f"chain {day}", there=False):
        specs += chain.specs(day)
    there = set(Instrument.objects.values_list("symbol", flat=True))
    wanted = [
        spec
        for spec in specs
        if seeding.wants(f"instrument {spec['symbol']}", there=spec["symbol"] in there)
    ]
    Instrument.objects.bulk_create(Instrument(**spec) for spec in wanted)


def _rules(seeding: Seeding, connection: BrokerConnection) -> None:
    """Make limits and breakers, where the account has none of the kind."""
    limits = set(connection.risklimit_set.values_list("metric", flat=True))
    for metric, value in LIMITS.items():
        if seeding.wants(f"limit {metric}", there=metric in limits):
            RiskLimit.objects.create(connection=connection, metric=metric, value=value, note="demo")
    breakers = set(connection.breaker_set.values_list("kind", flat=True))
    for kind, threshold in BREAKERS.items():
        if seeding.wants(f"breaker {kind}", there=kind in breakers):
            Breaker.objects.create(
                connection=connection, kind=kind, threshold=threshold, note="demo"
            )


def _users(seeding: Seeding) -> None:
    users = set(User.objects.filter(username__in=USERS).values_list("username", flat=True))
    if seeding.wants("user admin", there="admin" in users):
        User.objects.create_superuser("admin", password=USERS["admin"])
    if seeding.wants("group traders", there=Group.objects.filter(name=TRADERS).exists()):
        group = Group.objects.create(name=TRADERS)
        group.permissions.set(Permission.objects.filter(codename__in=TRADER_PERMISSIONS))
    if seeding.wants("user trader", there="trader" in users):
        trader = User.objects.create_user("trader", password=USERS["trader"])
        trader.groups.set(Group.objects.filter(name=TRADERS))


def _clients(seeding: Seeding, connection: BrokerConnection) -> None:
    trader = User.objects.filter(username="trader").first()
    theirs = ApiClient.objects.filter(Q(name="trader") | Q(user__username="trader"))
    if trader is not None and seeding.wants("client trader", there=theirs.exists()):
        ApiClient.objects.create(name="trader", user=trader).accounts.add(connection)
    strategy = ApiClient.objects.filter(name=STRATEGY_CLIENT)
    if seeding.wants("client strategy", there=strategy.exists()):
        owner, _created = User.objects.get_or_create(username=STRATEGIST)
        ApiClient.objects.create(name=STRATEGY_CLIENT, owner=owner).accounts.add(connection)


def _strategy_key(seeding: Seeding) -> None:
    """Issue the strategy's key; another where the file was lost, but not where it was revoked."""
    client = ApiClient.objects.filter(name=STRATEGY_CLIENT).first()
    if client is None:
        return
    is_first = seeding.wants("key", there=client.keys.exists())
    if key_file().exists() or not (is_first or client.keys.filter(revoked_at=None).exists()):
        return
    _, text = issue_key(client, scopes=[KeyScope.READ.value, KeyScope.TRADE.value])
    with os.fdopen(private_files.opened(key_file(), os.O_WRONLY | os.O_TRUNC), "w") as file:
        json.dump({"key": text}, file)


def _mode(seeding: Seeding) -> None:
    """Let the demo trade, once, where the account is the demo's own."""
    if not seeding.made("account"):
        return
    chosen = control.current().mode != SystemMode.GUIDE
    if seeding.wants("mode", there=chosen):
        control.set_system_mode(
            SystemMode.AUTONOMOUS,
            actor="demo",
            reason="the demo trades on paper",
            now=seeding.now,
        )
    seeding.remember()
