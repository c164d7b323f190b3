"""Watching the circuit breakers: what each reads, what happens when one trips, and its reset."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, F, Max, Q

from brokers import clocks
from brokers.models import BrokerConnection
from execution_site.floor import audit, locks
from execution_site.floor.apart import Apart, together
from execution_site.floor.events import EventType, record_event
from execution_site.rest.idempotency import once
from orders import hints
from orders.control import mass_actions
from orders.models import Fill, MassAction, SubmissionAttempt
from orders.reports.selectors import breaker_json
from portfolio.models import ClosedTrade
from risk.breakers import BreakerAction, BreakerKind, BreakerState, Reading, Standing, advance
from risk.kills import TradingScope
from risk.models import Breaker, DayResult

ENOUGH_ORDERS = 5  # fewer say nothing of a rate
STALE = timedelta(seconds=10)  # a day worked out longer ago says nothing
Outcome = SubmissionAttempt.Outcome
NEVER_LEFT = (Outcome.UNSENT, Outcome.DRY_RUN)


def evaluate(*, now: datetime, apart: Apart = together) -> None:
    """Read every breaker that is switched on, and move it to where its reading leads."""
    for row in Breaker.objects.filter(is_enabled=True).select_related("connection"):
        with apart(f"breaker {row.pk} ({row})"):
            reading = _READ[BreakerKind(row.kind)](row, now)
            _move(row, reading, now=now)


def act(breaker_id: int, *, now: datetime) -> None:
    """Do what a tripped breaker is to do beside blocking: cancel or flatten in its scope.

    It is marked as done with the row that says what to do, which whoever looks at it next finishes.
    """
    waiting = Breaker.objects.filter(pk=breaker_id, state=BreakerState.TRIPPED, acted_at=None)
    with transaction.atomic(durable=True):
        if not locks.rows(waiting):
            return
        row = Breaker.objects.select_related("connection").get(pk=breaker_id)
        action = _ask(row, now=now)
        waiting.update(acted_at=now)
    if action is not None:
        mass_actions.begin(action.pk)


def _ask(row: Breaker, *, now: datetime) -> MassAction | None:
    """Write down what a tripped breaker wants done; None where it only blocks."""
    kinds = {
        BreakerAction.FLATTEN: MassAction.Kind.FLATTEN,
        BreakerAction.CANCEL: MassAction.Kind.CANCEL,
    }
    if (kind := kinds.get(BreakerAction(row.action))) is None:
        return None
    scope = TradingScope(
        account=row.connection.name if row.connection else None, strategy=row.strategy or None
    )
    accounts = BrokerConnection.objects.enabled().values_list("name", flat=True)
    actor = f"breaker {row.kind}"
    reason = row.detail or str(row)
    return mass_actions.ask(kind, scope, accounts=accounts, actor=actor, reason=reason, now=now)


def waiting_to_act() -> list[int]:
    """Return the tripped breakers whose action is not done."""
    tripped = Breaker.objects.filter(state=BreakerState.TRIPPED, acted_at=None, is_enabled=True)
    return list(tripped.exclude(action=BreakerAction.BLOCK).values_list("pk", flat=True))


def reset(breaker_id: int, *, actor: str, reason: str, now: datetime) -> None:
    """Arm a breaker again; what it counts in a window begins anew.

    :raises audit.ReasonRequired: without a reason
    """
    with once():
        row = locks.for_update(Breaker.objects.all()).get(pk=breaker_id)
        before = breaker_json(row)
        row.state, row.streak, row.tripped_at, row.acted_at = BreakerState.ARMED, 0, None, None
        row.watched_since, row.detail, row.evaluated_at = now, "", now
        row.save()
        after = breaker_json(row)
        audit.record(
            "breaker_reset",
            actor=actor,
            reason=reason,
            at=now,
            before=before,
            after=after,
            object_id=str(row),
        )
        record_event(EventType.BREAKER, after, account=after["account"] or "", at=now)


def _move(row: Breaker, reading: Reading, *, now: datetime) -> None:
    was = Standing(BreakerState(row.state), row.streak, row.counted_at, row.quote_number)
    stands = advance(was, reading, kind=BreakerKind(row.kind), threshold=row.threshold)
    finite = reading.value is not None and reading.value.is_finite()
    if was.state is not BreakerState.TRIPPED:
        row.value = reading.value if finite else None
        row.detail = reading.detail[:200]
    row.state, row.streak = stands.state, stands.streak
    row.counted_at, row.quote_number = stands.counted_at, stands.quote_number
    row.evaluated_at = now
    trips = stands.state is BreakerState.TRIPPED and was.state is not BreakerState.TRIPPED
    if trips:
        row.tripped_at = now
    with transaction.atomic():
        # a reset in between has the last word
        if not locks.rows(Breaker.objects.filter(pk=row.pk, state=was.state)):
            return
        row.save()
        if stands.state is not was.state:
            data = breaker_json(row)
            record_event(EventType.BREAKER, data, account=data["account"] or "", at=now)
        if trips and row.action != BreakerAction.BLOCK:
            transaction.on_commit(hints.act_on_breakers, robust=True)


def _watched(row: Breaker, prefix: str = "") -> Q:
    """Return the accounts a breaker watches: its own, else all of the live market."""
    if row.connection_id is not None:
        return Q(**{f"{prefix}connection": row.connection_id})
    return Q(**{f"{prefix}connection__marketclock": None})


def _of_day(row: Breaker, now: datetime, measure: Callable[[DayResult], Decimal]) -> Reading:
    """Return the worst of the days that the breaker watches, in any currency."""
    days = DayResult.objects.filter(_watched(row), strategy=row.strategy)
    worst = Reading(now, Decimal(0), "nothing has been traded")
    replayed = clocks.replayed()
    for day in days.select_related("connection"):
        market_now = replayed.get(day.connection.name, now)
        fresh = market_now - day.evaluated_at < STALE
        today = day.trading_date == day.connection.trading_date(market_now)
        known = fresh and today and not day.unmarked
        detail = f"{day.connection.name}, {day.currency}"
        quoted_at = day.quoted_at
        if quoted_at is not None:  # ages are the market's, readings the wall's
            quoted_at = now - (market_now - quoted_at)
        value = measure(day) if known else None
        reading = Reading(now, value, detail, day.quote_number, quoted_at)
        if value is None:
            return reading
        if worst.value is None or value >= worst.value:
            worst = reading
    return worst


def _daily_loss(row: Breaker, now: datetime) -> Reading:
    return _of_day(row, now, lambda day: -day.day_pnl)


def _drawdown(row: Breaker, now: datetime) -> Reading:
    return _of_day(row, now, lambda day: day.below_peak)


def _stale_data(row: Breaker, now: datetime) -> Reading:
    read = _of_day(row, now, lambda _: Decimal(0))
    if read.value is None or read.quoted_at is None:
        return read
    return Reading(now, Decimal(max(0, int((now - read.quoted_at).total_seconds()))), read.detail)


def _loss_streak(row: Breaker, now: datetime) -> Reading:
    trades = ClosedTrade.objects.filter(_watched(row))
    if row.strategy:
        trades = trades.filter(strategy=row.strategy)
    if row.watched_since is not None:
        trades = trades.filter(closed_at__gt=row.watched_since)
    streak = 0
    newest = trades.order_by("-closed_at", "-sequence", "-venue_trade_id", "-pk")
    for pnl in newest.values_list("pnl", flat=True)[:100]:
        if pnl >= 0:
            break
        streak += 1
    return Reading(now, Decimal(streak), "losing trades in a row")


def _attempts(row: Breaker, now: datetime) -> Q:
    since = now - timedelta(seconds=row.window_seconds)
    if row.watched_since is not None:
        since = max(since, row.watched_since)
    mine = Q(granted_at__gte=since) & _watched(row, "order__")
    return mine & Q(order__strategy=row.strategy) if row.strategy else mine


def _rejection_rate(row: Breaker, now: datetime) -> Reading:
    counted = SubmissionAttempt.objects.filter(_attempts(row, now)).aggregate(
        sent=Count("pk", filter=~Q(outcome__in=NEVER_LEFT)),
        rejected=Count("pk", filter=Q(outcome=Outcome.REJECTED)),
    )
    sent, rejected = counted["sent"], counted["rejected"]
    rate = Decimal(rejected) / sent if sent >= ENOUGH_ORDERS else Decimal(0)
    return Reading(now, round(rate, 6), f"{rejected} of {sent} orders were rejected")


def _venue_errors(row: Breaker, now: datetime) -> Reading:
    bad = (Outcome.UNKNOWN, Outcome.UNSENT)
    count = SubmissionAttempt.objects.filter(_attempts(row, now), outcome__in=bad).count()
    return Reading(now, Decimal(count), "attempts without a clear answer")


def _runaway(row: Breaker, now: datetime) -> Reading:
    sends = (
        SubmissionAttempt.objects.filter(_attempts(row, now), order__replacements=None)
        .exclude(outcome__in=NEVER_LEFT)
        .values("order")
        .annotate(sends=Count("pk"))
        .aggregate(most=Max("sends"))
    )
    return Reading(now, Decimal(sends["most"] or 0), "sends of one order")


def _slippage(row: Breaker, now: datetime) -> Reading:
    since = now - timedelta(seconds=row.window_seconds)
    fills = Fill.objects.filter(
        _watched(row), received_at__gte=max(since, row.watched_since or since)
    )
    if row.strategy:
        fills = fills.filter(strategy=row.strategy)
    costs = []
    for side, price, mid in fills.filter(order__mid_at_grant__gt=0).values_list(
        "side", "price", F("order__mid_at_grant")
    ):
        costs.append((price - mid) / mid * (1 if side == "BUY" else -1) * 10_000)
    mean = sum(costs, Decimal(0)) / len(costs) if costs else Decimal(0)
    return Reading(now, round(mean, 6), f"mean of {len(costs)} fills, basis points")


_READ: Mapping[BreakerKind, Callable[[Breaker, datetime], Reading]] = {
    BreakerKind.DAILY_LOSS: _daily_loss,
    BreakerKind.DRAWDOWN: _drawdown,
    BreakerKind.LOSS_STREAK: _loss_streak,
    BreakerKind.REJECTION_RATE: _rejection_rate,
    BreakerKind.VENUE_ERRORS: _venue_errors,
    BreakerKind.SLIPPAGE: _slippage,
    BreakerKind.STALE_DATA: _stale_data,
    BreakerKind.RUNAWAY: _runaway,
}
