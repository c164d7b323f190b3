"""The demo: users, an account, instruments, limits and a key, made once and kept."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction

from brokers.feeds.synthetic import INSTRUMENTS
from brokers.models import Broker, BrokerConnection, Environment, Instrument
from execution_site import demo_chain
from orders.clients import ApiClient, Scope, issue_key
from risk import control
from risk.breakers import BreakerKind
from risk.facts import SystemMode
from risk.limits import Metric
from risk.models import Breaker, RiskLimit, SystemControl

ACCOUNT = "paper"
STRATEGY_CLIENT = "demo-strategy"
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
    "approve_change",
)


def seed(*, now: datetime) -> bool:
    """Make what is missing of the demo and return whether it was made new just now."""
    with transaction.atomic(durable=True):
        connection, created = BrokerConnection.objects.get_or_create(
            name=ACCOUNT,
            defaults={"broker": Broker.PAPER, "environment": Environment.PAPER},
        )
        for spec in INSTRUMENTS:
            Instrument.objects.get_or_create(symbol=spec["symbol"], defaults=spec)
        if not demo_chain.contracts(now):
            for spec in demo_chain.specs(now.date()):
                Instrument.objects.get_or_create(symbol=spec["symbol"], defaults=spec)
        for metric, value in LIMITS.items():
            RiskLimit.objects.get_or_create(
                connection=connection,
                metric=metric,
                defaults={"value": value, "note": "demo"},
            )
        for kind, threshold in BREAKERS.items():
            Breaker.objects.get_or_create(
                connection=connection,
                kind=kind,
                defaults={"threshold": threshold, "note": "demo"},
            )
        _users(connection)
        _strategy_key(connection)
    if created and SystemControl.objects.get(pk=1).mode == SystemMode.GUIDE:
        control.set_system_mode(
            SystemMode.AUTONOMOUS,
            actor="demo",
            reason="the demo trades on paper",
            now=now,
        )
    return created


def key_file() -> Path:
    """Return where the demo strategy finds its key."""
    return Path(settings.DATA_DIR) / "demo-key.json"


def _users(connection: BrokerConnection) -> None:
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", password=USERS["admin"])
    trader, created = User.objects.get_or_create(username="trader")
    if created:
        trader.set_password(USERS["trader"])
        trader.save()
    group, _ = Group.objects.get_or_create(name="traders")
    group.permissions.set(Permission.objects.filter(codename__in=TRADER_PERMISSIONS))
    trader.groups.add(group)
    client, _ = ApiClient.objects.get_or_create(name=trader.username, defaults={"user": trader})
    client.accounts.add(connection)


def _strategy_key(connection: BrokerConnection) -> None:
    """Issue the strategy's key where its file is missing; the database keeps only a hash."""
    client, _ = ApiClient.objects.get_or_create(name=STRATEGY_CLIENT)
    client.accounts.add(connection)
    if key_file().exists():
        return
    _, text = issue_key(client, scopes=[Scope.READ.value, Scope.TRADE.value])
    key_file().touch(mode=0o600)
    key_file().write_text(json.dumps({"key": text}))
