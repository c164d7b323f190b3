"""Misconfiguration stops the start, with an id and a hint."""

import pytest
from django.core.checks import run_checks

from brokers.models import BrokerConnection
from risk.models import RiskLimit

SECRETS = {"SECRET_KEY": "a", "CREDENTIALS_KEY": "b", "AUDIT_KEY": "c"}


def ids(**options):
    return [message.id for message in run_checks(**options) if message.id.startswith("execution")]


@pytest.mark.parametrize(
    ("_case", "values", "found"),
    [
        ("development", {"DEBUG": True}, []),
        ("our own secrets and hosts", {"DEBUG": False, "ALLOWED_HOSTS": ["x"], **SECRETS}, []),
        ("open hosts", {"DEBUG": False, "ALLOWED_HOSTS": ["*"], **SECRETS}, ["execution.E002"]),
        ("no hosts", {"DEBUG": False, "ALLOWED_HOSTS": [], **SECRETS}, ["execution.E002"]),
    ],
)
def test_secrets_and_hosts(settings, _case, values, found):
    for name, value in values.items():
        setattr(settings, name, value)

    assert ids(tags=["security"]) == found


@pytest.mark.parametrize("name", SECRETS)
def test_each_default_secret_is_refused_by_name(settings, name):
    for other, value in SECRETS.items():
        setattr(settings, other, value)
    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["x"]
    setattr(settings, name, settings.INSECURE_SECRET)

    (message,) = [m for m in run_checks(tags=["security"]) if m.id == "execution.E001"]
    assert name in message.msg
    assert name in message.hint


def test_a_live_connection_needs_limits(db):
    live = BrokerConnection.objects.create(name="live", broker="later", environment="live")
    assert ids(databases=["default"]) == ["execution.E003"]

    RiskLimit.objects.create(metric="max_order_quantity", value=1)
    RiskLimit.objects.create(metric="daily_trades", value=1, connection=live)
    assert ids(databases=["default"]) == []
