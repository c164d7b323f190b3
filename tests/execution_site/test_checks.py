"""Misconfiguration stops the start, with an id and a hint."""

from django.core.checks import run_checks

from brokers.models import BrokerConnection
from risk.models import RiskLimit


def ids(**options):
    return [message.id for message in run_checks(**options) if message.id.startswith("execution")]


def test_a_live_connection_needs_limits(db):
    live = BrokerConnection.objects.create(name="live", broker="later", environment="live")
    assert ids(databases=["default"]) == ["execution.E003"]

    RiskLimit.objects.create(metric="max_order_quantity", value=1)
    RiskLimit.objects.create(metric="daily_trades", value=1, connection=live)
    assert ids(databases=["default"]) == []
