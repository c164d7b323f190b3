"""What clients and pages read of orders."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from brokers import clocks
from brokers.contract import Side
from brokers.instruments.kinds import DATED, decimal_text, optional_text
from brokers.models import BrokerConnection, Quote
from brokers.quotes import quote_json
from execution_site.floor import processes
from execution_site.floor.events import Event, EventType
from orders.booking import read_sql
from orders.groups import view
from orders.lifecycle import TERMINAL, OrderStatus
from orders.models import Action, Fill, Order, Signal, SignalStatus, SubmissionAttempt
from orders.payloads import EXECUTED, fill_json, order_json, signal_json, time_text
from orders.reports import quality
from portfolio import greeks
from portfolio import selectors as holdings
from portfolio.greeks_keeper import by_underlying
from portfolio.models import Position
from risk import control
from risk.kills import KillSwitch, visible
from risk.models import Breaker

SHOWN = 100
SHOWN_GROUPS = 10


def orders(accounts: Iterable[str]) -> QuerySet[Order]:
    """Return the orders of these accounts."""
    return Order.objects.filter(connection__name__in=list(accounts)).select_related(
        "connection", "instrument"
    )


def fills(accounts: Iterable[str]) -> QuerySet[Fill]:
    """Return the fills of these accounts."""
    return Fill.objects.filter(connection__name__in=list(accounts)).select_related(
        "connection", "instrument"
    )


def signals(accounts: Iterable[str]) -> QuerySet[Signal]:
    """Return the signals for these accounts."""
    return Signal.objects.filter(connection__name__in=list(accounts)).select_related(
        "connection", "instrument", "decision", "order", "group"
    )


def of_shown_status(status: str) -> Q:
    """Return the condition for signals that are shown with this status."""
    filled = Q(status=SignalStatus.APPROVED, order__status=OrderStatus.FILLED)
    if status == EXECUTED:
        return filled
    return Q(status=status) & ~filled


def describe_order(order: Order) -> dict[str, Any]:
    """Return an order as clients see it."""
    return order_json(order, account=order.connection.name, symbol=order.instrument.symbol)


def describe_fill(fill: Fill) -> dict[str, Any]:
    """Return a fill as clients see it."""
    return fill_json(fill, account=fill.connection.name, symbol=fill.instrument.symbol)


def describe_signal(signal: Signal) -> dict[str, Any]:
    """Return a signal with its decision as clients see it."""
    order = getattr(signal, "order", None)
    symbol = None if signal.instrument is None else signal.instrument.symbol
    decision = signal.decision
    judged = None
    if decision is not None:
        judged = {"status": decision.status, "checks": decision.checks}
    elif signal.action == Action.GROUP:
        judged = json.loads(signal.answer)["decision"]
    group = getattr(signal, "group", None)
    names: dict[str, Any] = {"account": signal.connection.name, "symbol": symbol}
    shown = signal_json(signal, order=order, group=None if group is None else group.pk, **names)
    return shown | {"decision": judged}


def order_log(order: Order) -> list[dict[str, Any]]:
    """Return what happened to an order, oldest first, from the event log."""
    about = Q(type=EventType.ORDER, data__id=order.pk) | Q(
        type=EventType.FILL, data__order=order.pk
    )
    events = Event.objects.filter(about, account=order.connection.name, at__gte=order.created_at)
    return [
        {"type": event.type, "at": time_text(event.at), "data": event.data}
        for event in events.order_by("pk")
    ]


def order_attempts(order: Order) -> list[dict[str, Any]]:
    """Return each grant to send an order and what came of it, oldest first."""
    return [
        {
            "number": row.number,
            "granted_at": time_text(row.granted_at),
            "answered_at": time_text(row.answered_at),
            "outcome": row.outcome,
            "detail": row.detail or None,
            "request": row.request,
        }
        for row in order.attempts.order_by("pk")
    ]


def execution(order: Order) -> dict[str, Any]:
    """Return the execution confirmation of an order."""
    rejected = order.status in {OrderStatus.REJECTED, OrderStatus.FAILED}
    return {
        "execution_id": order.client_order_id,
        "order_id": order.pk,
        "status": str(order.status),
        "account": order.connection.name,
        "strategy": order.strategy,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "intended_quantity": decimal_text(order.quantity),
        "executed_quantity": decimal_text(order.filled_quantity),
        "reference_price": optional_text(order.reference_price),
        "mid_at_grant": optional_text(order.mid_at_grant),
        "average_price": optional_text(order.average_price),
        "commission": decimal_text(order.commission),
        **quality.measures(
            side=Side(order.side),
            average_price=order.average_price,
            mid=order.mid_at_grant,
            pip_size=order.instrument.pip_size,
            sent_at=order.claimed_at,
            filled_at=order.filled_at,
        ),
        "rejection_reason": order.status_reason if rejected else None,
        "timestamps": {
            "created_at": time_text(order.created_at),
            "submitted_at": time_text(order.submitted_at),
            "filled_at": time_text(order.filled_at),
            "updated_at": time_text(order.updated_at),
        },
    }


def ended_execution(order_id: int) -> bytes | None:
    """Return, as JSON, the confirmation of an order that has ended.

    None while it works, and while the database cannot be asked: the order stands all the same.
    """
    close_old_connections()  # as a request does when it begins
    try:
        order = read_sql.order(order_id)
    except DatabaseError:
        return None
    if order is None or OrderStatus(order.status) not in TERMINAL:
        return None
    return json.dumps(execution(order), separators=(",", ":"), ensure_ascii=False).encode()


def system(accounts: Sequence[str]) -> dict[str, Any]:
    """Return the switches, the connections and the processes."""
    now = timezone.now()
    kills = visible(accounts)
    shown = control.control_json(control.current(), kills)
    for said, kill in zip(shown["kill_switches"], kills, strict=True):
        said["in_flight"] = in_flight(kill)
    shown["breakers"] = [breaker_json(row) for row in breakers_of(accounts)]
    rows = BrokerConnection.objects.filter(name__in=accounts).order_by("name")
    connections = [
        {
            "name": row.name,
            "broker": row.broker,
            "environment": row.environment,
            "is_enabled": row.is_enabled,
            "dry_run": row.dry_run,
        }
        for row in rows
    ]
    running = [{**row, "since": time_text(row["since"])} for row in processes.shown(now=now)]
    in_doubt = Order.objects.filter(status=OrderStatus.IN_DOUBT).count()
    return shown | {"connections": connections, "processes": running, "in_doubt": in_doubt}


def snapshot(accounts: Sequence[str]) -> dict[str, Any]:
    """Return the state a page or a socket begins with."""
    held = list(holdings.positions(accounts).order_by("connection__name", "strategy", "pk"))
    replayed = sorted(set(clocks.replayed()) & set(accounts))
    quotes = shown_quotes().order_by("instrument__symbol")
    newest_groups = view.of_accounts(accounts).order_by("-pk")[:SHOWN_GROUPS]
    return {
        "system": system(accounts),
        "orders": [describe_order(o) for o in orders(accounts).order_by("-pk")[:SHOWN]],
        "fills": [describe_fill(f) for f in fills(accounts).order_by("-pk")[:SHOWN]],
        "signals": [describe_signal(s) for s in signals(accounts).order_by("-pk")[: SHOWN // 2]],
        "groups": view.rows(newest_groups),
        "positions": [holdings.describe(p) for p in held if p.folded_at is not None],
        "pnl": holdings.pnl(held, apart=replayed),
        "greeks": by_underlying(greeks.of_positions(greeks.held(accounts), now=timezone.now())),
        "quotes": [quote_json(q, q.instrument.symbol) for q in quotes],
        "replayed": replayed,
    }


def shown_quotes() -> QuerySet[Quote]:
    """Return the quotes that are shown and pushed: of derivatives only what is held.

    A chain has hundreds, which only whoever asks for the chain wants to see.
    """
    held = Position.objects.filter(instrument=OuterRef("instrument")).exclude(quantity=0)
    shown = ~Q(instrument__kind__in=DATED) | Exists(held)
    return Quote.objects.filter(shown).select_related("instrument")


def in_flight(kill: KillSwitch) -> list[dict[str, Any]]:
    """Return the sends in its scope that were granted before a kill and unanswered when it began.

    One whose order had ended by then (found out by asking) is not in flight.
    """
    unanswered = Q(answered_at__isnull=True) | Q(answered_at__gt=kill.engaged_at)
    ended = Q(order__status__in=TERMINAL, order__updated_at__lt=kill.engaged_at)
    attempts = SubmissionAttempt.objects.filter(unanswered, epoch__lt=kill.epoch).exclude(ended)
    if kill.connection_id is not None:
        attempts = attempts.filter(order__connection=kill.connection_id)
    if kill.strategy:
        attempts = attempts.filter(order__strategy=kill.strategy)
    if kill.symbol:
        attempts = attempts.filter(order__instrument__symbol=kill.symbol)
    return [
        {"order": order, "attempt": number, "epoch": epoch}
        for order, number, epoch in attempts.order_by("pk").values_list(
            "order_id", "number", "epoch"
        )
    ]


def breakers_of(accounts: Iterable[str]) -> QuerySet[Breaker]:
    """Return the breakers that are switched on and watch any of these accounts."""
    ours = Q(connection=None) | Q(connection__name__in=list(accounts))
    return Breaker.objects.filter(ours, is_enabled=True).select_related("connection").order_by("pk")


def breaker_json(row: Breaker) -> dict[str, Any]:
    """Return a breaker as clients see it; `distance` is what is left, as a share of `threshold`."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "account": row.connection.name if row.connection else None,
        "strategy": row.strategy or None,
        "state": row.state,
        "action": row.action,
        "value": optional_text(row.value),
        "threshold": decimal_text(row.threshold),
        "distance": optional_text(row.distance),
        "detail": row.detail or None,
        "evaluated_at": time_text(row.evaluated_at),
        "tripped_at": time_text(row.tripped_at),
    }
