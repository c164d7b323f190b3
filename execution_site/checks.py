"""Misconfiguration stops the start, with an id and a hint."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.utils import timezone

from brokers.models import BrokerConnection, Environment
from risk.limits import Metric
from risk.models import RiskLimit

SECRETS = ("SECRET_KEY", "CREDENTIALS_KEY", "AUDIT_KEY")
REQUIRED_LIMITS = {Metric.MAX_ORDER_QUANTITY, Metric.DAILY_TRADES}


@register(Tags.security)
def secrets_are_our_own(**_: Any) -> list[CheckMessage]:
    """Refuse the development secrets with DEBUG off."""
    if settings.DEBUG:
        return []
    return [
        Error(
            f"{name} is the development default.",
            hint=f"Set {name} in the environment to a long random value of your own.",
            id="execution.E001",
        )
        for name in SECRETS
        if getattr(settings, name) == settings.INSECURE_SECRET
    ]


@register(Tags.security)
def hosts_are_named(**_: Any) -> list[CheckMessage]:
    """Refuse an open or empty host list with DEBUG off."""
    if settings.DEBUG or (settings.ALLOWED_HOSTS and "*" not in settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            "ALLOWED_HOSTS is open.",
            hint="Set ALLOWED_HOSTS to the names under which the site is reached.",
            id="execution.E002",
        )
    ]


@register(Tags.database)
def live_connections_have_limits(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse a live connection for which quantity and trades per day have no limit."""
    if not databases or "brokers_brokerconnection" not in _tables():
        return []
    in_force = RiskLimit.objects.in_force(timezone.now())
    everywhere = set(in_force.filter(connection=None).values_list("metric", flat=True))
    errors: list[CheckMessage] = []
    live = BrokerConnection.objects.enabled().filter(environment=Environment.LIVE)
    for connection in live:
        own = in_force.filter(connection=connection).values_list("metric", flat=True)
        missing = sorted(REQUIRED_LIMITS - everywhere - set(own))
        if missing:
            errors.append(
                Error(
                    f"The live connection {connection.name} has no limit: {', '.join(missing)}.",
                    hint="Add the limits in the admin under Risk limits, or disable it.",
                    id="execution.E003",
                )
            )
    return errors


def _tables() -> list[str]:
    return connections["default"].introspection.table_names()
