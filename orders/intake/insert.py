"""The one statement that records a judged signal, with its order and its events."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db.models import Model

from execution_site.floor import events, statements
from execution_site.floor.events import EventRow
from orders.models import Order, Signal
from risk.limits import Metric
from risk.models import RiskDecision
from risk.trade_counts import COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is written together. Ids are drawn beforehand, so that nothing is read back."""

    signal: Signal
    decision: RiskDecision | None
    order: Order | None
    events: list[EventRow]
    at: datetime


def write(recording: Recording) -> None:
    """Write everything in one round trip."""
    rows: dict[str, Model] = {"signal": recording.signal}
    if recording.decision is not None:
        rows["decision"] = recording.decision
    params: dict[str, Any] = dict(events.columns(recording.events))
    if recording.order is not None:
        rows["orders"] = recording.order
        params |= {
            "connection_id": recording.order.connection_id,
            "strategy": recording.order.strategy,
            "instrument_id": recording.order.instrument_id,
            "trading_date": recording.order.trading_date,
            "metric": Metric.DAILY_TRADES.value,
            "by": 1,
            "at": recording.at,
        }
    params |= {name: statements.row_json(row) for name, row in rows.items()}
    statements.run(_statement(**{name: type(row) for name, row in rows.items()}), params)
    events.wake_sealer()


@cache
def _statement(**models: type[Model]) -> str:
    """Return the statement that inserts one row of each of these, and the events."""
    clauses = [_insert(name, model) for name, model in models.items()]
    if "orders" in models:
        clauses += [_POSITION, _USAGE]
    return f"WITH {', '.join(clauses)} {events.INSERT_EVENTS}"


def _insert(name: str, model: type[Model]) -> str:
    """Return a WITH clause that inserts the row given as JSON in the parameter `name`."""
    table, columns = model._meta.db_table, statements.columns(model)
    row = f"jsonb_populate_record(NULL::{table}, %({name})s)"
    return f"new_{name} AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {row})"  # noqa: S608 our own names


_POSITION = """position AS (
    INSERT INTO portfolio_position (connection_id, strategy, instrument_id, quantity, cost,
        realized_pnl, commission, folded_trade_id, folded_count, fold_points, closed_pnl,
        updated_at)
    VALUES (%(connection_id)s, %(strategy)s, %(instrument_id)s,
            0, 0, 0, 0, '', 0, '[]', 0, %(at)s)
    ON CONFLICT DO NOTHING)"""

_USAGE = f"usage AS ({COUNT})"
