"""What another value of a limit would have meant: the gate, run again over stored verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from orders.models import Order
from risk.checks import CheckStatus, run_checks
from risk.facts import Facts
from risk.models import RiskDecision, RiskLimit

MOST = 20_000  # verdicts that are looked at, the newest ones
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Effect:
    """Of the orders this limit helped to admit: how many another value would have refused.

    `value` is the other value; `examples` are the newest orders it would have refused.
    """

    value: Decimal
    days: int
    judged: int
    refused: int
    examples: Sequence[Order]
    complete: bool


def effect(limit: RiskLimit, *, value: Decimal, days: int, now: datetime) -> Effect:
    """Judge again, with another value, what was approved in the last days under this limit."""
    since = now - timedelta(days=days)
    rows = RiskDecision.objects.filter(decided_at__gte=since, status="APPROVED").order_by("-pk")
    rows = rows.filter(inputs__limits__contains=[{"id": limit.pk}])
    judged, refused = 0, []
    for pk, inputs in rows[:MOST].values_list("pk", "inputs").iterator():
        judged += 1
        if _refuses(Facts.from_json(inputs), limit.pk, value):
            refused.append(pk)
    examples = Order.objects.filter(decision__in=refused[:SHOWN]).select_related(
        "connection", "instrument"
    )
    return Effect(value, days, judged, len(refused), list(examples.order_by("-pk")), judged < MOST)


def _refuses(facts: Facts, limit_id: int, value: Decimal) -> bool:
    changed = tuple(
        replace(limit, value=value) if limit.id == limit_id else limit for limit in facts.limits
    )
    checks = run_checks(replace(facts, limits=changed))
    return any(check.status is not CheckStatus.PASSED for check in checks)
