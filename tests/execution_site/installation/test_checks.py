"""Misconfiguration stops the start, with an id and a hint."""

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.management import call_command
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.demo import seed, users
from orders.models import ApiKey
from risk.models import RiskLimit


@pytest.fixture(autouse=True)
def _second_factor(settings):
    settings.REQUIRE_SECOND_FACTOR = True


def ids(**options):
    return [message.id for message in run_checks(**options) if message.id.startswith("execution")]


def test_a_live_connection_needs_limits(db):
    live = BrokerConnection.objects.create(name="live", broker="later", environment="live")
    assert ids(databases=["default"]) == ["execution.E003"]

    RiskLimit.objects.create(metric="max_order_quantity", value=1)
    RiskLimit.objects.create(metric="daily_trades", value=1, connection=live)
    assert ids(databases=["default"]) == []


@pytest.mark.parametrize(
    ("_case", "changed", "is_live", "found"),
    [
        ("a laptop", {}, False, []),
        ("reached by others", {"HOST": "0.0.0.0"}, False, ["execution.E006"]),
        ("behind a proxy", {"TRUSTED_HOPS": 1}, False, ["execution.E006"]),
        ("on a real database", {"OWN_DATABASE": True}, False, ["execution.E006"]),
        ("with real money", {}, True, ["execution.E006"]),
    ],
)
def test_demo_users_and_what_is_at_stake_exclude_each_other(
    db, settings, tmp_path, _case, changed, is_live, found
):
    settings.DATA_DIR, settings.OWN_DATABASE = tmp_path, False
    seed.seed(now=timezone.now())
    for name, value in changed.items():
        setattr(settings, name, value)
    if is_live:
        BrokerConnection.objects.create(name="live", broker="later", environment="live")
        for metric in ("max_order_quantity", "daily_trades"):
            RiskLimit.objects.create(metric=metric, value=1)
    assert ids(databases=["default"]) == found

    call_command("remove_demo_users")

    assert ids(databases=["default"]) == []
    assert users.present() == []
    assert not User.objects.filter(username__in=seed.USERS, is_active=True).exists()
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    seed.seed(now=timezone.now())
    assert users.present() == []
    assert not seed.key_file().exists()
