"""The one statement that records a judged signal, with its order and its events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

from execution_site import events
from execution_site.events import EventRow
from orders.models import Order, Signal
from risk.models import RiskDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is written together. Ids are drawn beforehand, so that nothing is read back."""

    signal: Signal
    decision: RiskDecision | None
    order: Order | None
    usage_id: int | None
    events: list[EventRow]
    at: datetime


def write(recording: Recording) -> None:
    """Write everything in one round trip."""
    parts: list[tuple[str, Model | None]] = [
        ("decision", recording.decision),
        ("signal", recording.signal),
    ]
    if recording.order is not None:
        parts.append(("orders", recording.order))
    clauses: list[str] = []
    params: dict[str, Any] = dict(events.columns(recording.events))
    for name, instance in parts:
        if instance is not None:
            clause, values = _insert(name, instance)
            clauses.append(clause)
            params |= values
    if recording.order is not None:
        clauses.append(_POSITION)
        clauses.append(_USAGE)
        params |= {
            "connection_id": recording.order.connection_id,
            "strategy": recording.order.strategy,
            "instrument_id": recording.order.instrument_id,
            "at": recording.at,
            "usage_id": recording.usage_id,
        }
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(clauses)} {events.INSERT_EVENTS}", params)
    events.wake_sealer()


_POSITION = """position AS (
    INSERT INTO portfolio_position (connection_id, strategy, instrument_id, quantity, cost,
        realized_pnl, commission, folded_trade_id, flat_trade_id, flat_realized_pnl,
        flat_commission, updated_at)
    VALUES (%(connection_id)s, %(strategy)s, %(instrument_id)s, 0, 0, 0, 0, '', '', 0, 0, %(at)s)
    ON CONFLICT DO NOTHING)"""

_USAGE = """usage AS (
    UPDATE risk_riskusage SET used = used + 1 WHERE id = %(usage_id)s)"""


def _insert(name: str, instance: Model) -> tuple[str, dict[str, Any]]:
    """Return a WITH clause that inserts a model instance, and its parameters."""
    fields = instance._meta.concrete_fields
    params = {
        f"{name}_{field.column}": field.get_db_prep_save(
            getattr(instance, field.attname), connection
        )
        for field in fields
    }
    columns = ", ".join(str(field.column) for field in fields)
    values = ", ".join(f"%({name}_{field.column})s" for field in fields)
    table = instance._meta.db_table
    return f"new_{name} AS (INSERT INTO {table} ({columns}) VALUES ({values}))", params  # noqa: S608 our own names
