"""How groups look to the outside."""

from collections.abc import Sequence
from typing import Any

from brokers.instruments.kinds import optional_text
from orders.models import OrderGroup
from orders.payloads import time_text
from portfolio.payoff import Payoff


def group_json(
    group: OrderGroup, *, account: str, legs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return a group as clients see it, with these orders as its legs."""
    return {
        "id": group.pk,
        "signal": group.signal_id,
        "account": account,
        "strategy": group.strategy,
        "type": str(group.type),
        "status": str(group.status),
        "failure": group.failure or None,
        "exit_reason": group.exit_reason or None,
        "detail": group.detail or None,
        "alert": group.alert or None,
        "policy": {
            "on_leg_failure": str(group.on_leg_failure),
            "leg_timeout_seconds": group.leg_timeout_seconds,
        },
        "expected": group.expected,
        "legs": list(legs),
        "created_at": time_text(group.created_at),
        "updated_at": time_text(group.updated_at),
    }


def payoff_json(found: Payoff | None) -> dict[str, Any] | None:
    """Return a payoff as clients see it; None where it is not known."""
    if found is None:
        return None
    return {
        "net_debit": optional_text(found.net_debit),
        "max_loss": optional_text(found.max_loss),
        "max_profit": optional_text(found.max_profit),
        "breakevens": [optional_text(price) for price in found.breakevens],
    }
