"""What a change of a limit would mean: against what is used now, and over the last verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection
from orders.control import limit_use
from orders.models import Order
from risk.checks import CheckStatus, run_checks
from risk.facts import Facts, Limit
from risk.limits import GREEK_OF, MEANINGS, PACED, Metric
from risk.models import RiskLimit

DAYS = 7
MOST = 5_000  # orders that are looked at, the newest ones
SHOWN = 5
#: Of these a verdict keeps how much was used only for the limits that applied.
MEASURED = frozenset(
    {
        Metric.MAX_OPEN_ORDERS,
        Metric.MAX_GROSS_EXPOSURE,
        Metric.CONCENTRATION,
        Metric.MARGIN_CUSHION,
        Metric.DAILY_TRADES,
        Metric.DAILY_LOSS,
        Metric.DRAWDOWN,
        Metric.LOSS_STREAK,
        Metric.DUPLICATE_WINDOW,
        *GREEK_OF,
    }
)
#: Reached, these refuse whatever does not close; the others only what adds to them.
STOPS_ALL = frozenset(
    {Metric.MAX_OPEN_ORDERS, Metric.DAILY_TRADES, Metric.DAILY_LOSS, Metric.DRAWDOWN}
)
OF_CAPITAL = frozenset({Metric.CONCENTRATION, Metric.MARGIN_CUSHION})
#: Of these `limit_use` works out what is used; None then means that it is not known.
USED = frozenset(
    {*STOPS_ALL, Metric.MAX_POSITION, Metric.MAX_GROSS_EXPOSURE, Metric.CONCENTRATION, *GREEK_OF}
)
FIELDS = (
    "metric",
    "value",
    "connection",
    "strategy",
    "symbol",
    "underlying",
    "effective_from",
    "effective_until",
    "owner",
    "note",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changes, in words."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What a limit would do: `used` of it now, and of the orders it admitted what it refuses.

    `warning` says what will be refused from now on. `refused` of `judged` orders would have been
    refused; of `untold` more it cannot be said, since what was used then was not kept.
    """

    title: str
    differences: Sequence[Difference]
    in_force: bool
    unit: str
    value: str
    used: str
    warning: str
    is_paced: bool
    judged: int
    refused: int
    untold: int
    complete: bool
    examples: Sequence[Order]
    days: int = DAYS


def effect(before: RiskLimit | None, after: RiskLimit, *, now: datetime) -> Effect:
    """Return what becomes of orders when `after` takes the place of `before` (None: it is new)."""
    metric, in_force = Metric(after.metric), after.is_in_force(now)
    accounts = list(BrokerConnection.objects.values_list("name", flat=True))
    used = limit_use.use(after, limit_use.load(accounts))
    judged, untold, refused = 0, 0, []
    admitted = Order.objects.none() if metric in PACED else _admitted(after, now=now)
    for pk, inputs in admitted[:MOST].values_list("pk", "decision__inputs").iterator():
        facts = Facts.from_json(inputs)
        changed = _judged_by(facts, before, after, in_force=in_force)
        if changed is None:
            untold += 1
            continue
        judged += 1
        if _refuses(changed) and not _refuses(facts):
            refused.append(pk)
    examples = Order.objects.filter(pk__in=refused[:SHOWN]).select_related("instrument")
    return Effect(
        title=f"{after.metric}, {after.scope}",
        differences=differences(before, after),
        in_force=in_force,
        unit=MEANINGS[metric].unit,
        value=number(after.value),
        used="" if used is None else number(used),
        warning=_warning(after, used) if in_force else "",
        is_paced=metric in PACED,
        judged=judged,
        refused=len(refused),
        untold=untold,
        complete=judged + untold < MOST,
        examples=list(examples.order_by("-pk")),
    )


def differences(before: RiskLimit | None, after: RiskLimit) -> list[Difference]:
    """Return what a change changes, of a new limit all that is set."""
    found = []
    for name in FIELDS:
        was = "" if before is None else text(getattr(before, name))
        will_be = text(getattr(after, name))
        if was != will_be:
            label = str(RiskLimit._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
            found.append(Difference(label, was or "—", will_be or "—"))
    return found


def number(value: Decimal) -> str:
    """Return a number for people: thousands apart, without zeros that say nothing."""
    return f"{Decimal(decimal_text(value)):,f}"


def text(value: Any) -> str:
    """Return a field's value for people."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return "" if value is None else str(value)


def _warning(limit: RiskLimit, used: Decimal | None) -> str:
    metric = Metric(limit.metric)
    if metric in OF_CAPITAL and (without := _without_capital(limit)):
        return f"No capital is set for {without}: every order there that opens will be refused."
    if used is None:
        unknown = "How much of it is used cannot be told now: until it can, orders are refused."
        return unknown if metric in USED else ""
    if used < limit.value:
        return ""
    of = f"{number(used)} used of {number(limit.value)}: every order in its scope"
    if metric in STOPS_ALL:
        return f"{of} will be refused, except those that only close a position."
    return f"{of} that adds to it will be refused."


def _without_capital(limit: RiskLimit) -> str:
    rows = BrokerConnection.objects.enabled().filter(capital=None)
    if limit.connection_id is not None:
        rows = rows.filter(pk=limit.connection_id)
    return ", ".join(rows.order_by("name").values_list("name", flat=True))


def _admitted(limit: RiskLimit, *, now: datetime) -> QuerySet[Order]:
    """Return the orders of the last days that lie in a limit's scope, the newest first."""
    since = now - timedelta(days=DAYS)
    orders = Order.objects.filter(decision__status="APPROVED", decision__decided_at__gte=since)
    if limit.connection_id is not None:
        orders = orders.filter(connection=limit.connection_id)
    if limit.strategy:
        orders = orders.filter(strategy=limit.strategy)
    if limit.symbol:
        orders = orders.filter(instrument__symbol=limit.symbol)
    if limit.underlying:
        itself = Q(instrument__underlying="", instrument__symbol=limit.underlying)
        orders = orders.filter(Q(instrument__underlying=limit.underlying) | itself)
    return orders.order_by("-pk")


def _judged_by(
    facts: Facts, before: RiskLimit | None, after: RiskLimit, *, in_force: bool
) -> Facts | None:
    """Return the facts with `after` in the place of `before`; None: they do not say what it had."""
    old = None if before is None else before.pk
    rest = tuple(limit for limit in facts.limits if limit.id != old)
    if not in_force:
        return replace(facts, limits=rest)
    metric = Metric(after.metric)
    alike = [one for one in facts.limits if (one.metric, one.scope) == (metric, after.scope)]
    if metric in MEASURED and not alike:
        return None
    limit = Limit(
        id=old or 0,
        version=after.version,
        metric=metric,
        value=after.value,
        scope=after.scope,
        by_strategy=bool(after.strategy),
    )
    if alike:
        seen = alike[0]
        limit = replace(limit, used=seen.used, low=seen.low, at=seen.at)
    return replace(facts, limits=(*rest, limit))


def _refuses(facts: Facts) -> bool:
    return any(check.status is not CheckStatus.PASSED for check in run_checks(facts))
