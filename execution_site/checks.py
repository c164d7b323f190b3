"""System checks that need the database: each stops the start, with an id and a hint."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections
from django.utils import timezone

from brokers.models import BrokerConnection, Environment
from execution_site.demo import users
from execution_site.installation import safety
from risk.limits import Metric
from risk.models import RiskLimit

OUTSIDE_LIMITS = (
    "RATE_WRITES_PER_SECOND",
    "RATE_READS_PER_SECOND",
    "RATE_URGENT_PER_SECOND",
    "RATE_ANONYMOUS_PER_MINUTE",
    "RATE_SIGN_INS_PER_MINUTE",
    "CONNECTIONS_PER_ADDRESS",
    "SOCKETS_PER_CLIENT",
    "SOCKETS_PER_ADDRESS",
)
REQUIRED_LIMITS = {Metric.MAX_ORDER_QUANTITY, Metric.DAILY_TRADES}


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


@register
def limits_from_outside_are_on(**_: Any) -> list[CheckMessage]:
    """Warn of each limit from outside that is off."""
    return [
        CheckWarning(
            f"{name} is 0: there is no such limit.",
            hint=f"Set {name}, or see to it in front of the site.",
            id="execution.W010",
        )
        for name in OUTSIDE_LIMITS
        if not getattr(settings, name)
    ]


@register
def staff_need_a_second_factor(**_: Any) -> list[CheckMessage]:
    """Warn where staff of more than a demo sign in by a password alone."""
    if settings.REQUIRE_SECOND_FACTOR or settings.DEMO:
        return []
    return [
        CheckWarning(
            "REQUIRE_SECOND_FACTOR is off: staff sign in by a password alone.",
            hint="Leave it on, unless a proxy before the site asks for a second factor.",
            id="execution.W011",
        )
    ]


@register(Tags.database)
def demo_users_are_kept_from_others(
    databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Refuse users with passwords that everybody knows, where more than a demo is at stake."""
    if not databases or not {"auth_user", "brokers_brokerconnection"} <= set(_tables()):
        return []
    live = BrokerConnection.objects.enabled().filter(environment=Environment.LIVE)
    stakes = {
        f"HOST={settings.HOST} is reached by others": not safety.is_loopback(settings.HOST),
        "it is behind a proxy": settings.TRUSTED_HOPS > 0,
        "the database is your own": settings.OWN_DATABASE,
        "it has live connections": live.exists(),
    }
    at_stake = [what for what, holds in stakes.items() if holds]
    if not at_stake or not (names := users.present()):
        return []
    return [
        Error(
            f"The demo's users {', '.join(names)} can sign in while {' and '.join(at_stake)}.",
            hint="End them: manage.py remove_demo_users.",
            id="execution.E006",
        )
    ]


def _tables() -> list[str]:
    return connections["default"].introspection.table_names()
