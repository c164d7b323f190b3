"""The one statement that books fills: fills, order totals and status, position, answer, events."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.instruments.kinds import decimal_text
from execution_site.floor import events, statements
from execution_site.floor.events import EventRow, EventType, event_row
from orders.models import Fill, FillAmendment, Order
from orders.payloads import fill_json, order_json
from portfolio.fold import Closed
from portfolio.models import Position
from portfolio.payloads import position_json


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingChange:
    """What one report changed, to be written together.

    `realized` and `commission` are what it changed in the position; `answer` closes the attempt
    that brought it; `newly_named`: the venue's name for the order has just been learnt.
    """

    order: Order
    position: Position
    fills: Sequence[Fill]
    amendments: Sequence[FillAmendment]
    closed: Sequence[Closed]
    realized: Decimal
    commission: Decimal
    newly_named: bool
    answer: Any

    @property
    def trades(self) -> bool:
        """Tell whether it changed the position."""
        return bool(self.fills or self.amendments)


def write(booked: BookingChange, *, now: datetime) -> None:
    """Write it in one statement."""
    params: dict[str, Any] = _order_params(booked.order)
    clauses = [_ORDER]
    if booked.trades:
        clauses.append(_POSITION)
        params |= _position_params(booked.position)
    for clause, rows in ((_FILLS, booked.fills), (_AMENDMENTS, booked.amendments)):
        if rows:
            clauses.append(clause)
            params[clause.split("_rows", 1)[0]] = statements.rows_json(rows)
    if booked.closed:
        clauses.append(_CLOSED)
        params["closed"] = json.dumps([_closed_json(one) for one in booked.closed])
    if booked.newly_named:
        clauses.append(_VENUE_ORDER)
    if booked.answer is not None:
        clauses.append(_ATTEMPT)
        params |= {
            "attempt_id": booked.answer.attempt_id,
            "outcome": booked.answer.outcome,
            "detail": booked.answer.detail[:200],
        }
    params |= events.columns(_events(booked, now=now))
    statements.run(f"WITH {', '.join(clauses)} {events.INSERT_EVENTS}", params)
    events.wake_sealer()


def _events(booked: BookingChange, *, now: datetime) -> list[EventRow]:
    order, position = booked.order, booked.position
    account, symbol = order.connection.name, order.instrument.symbol
    rows = [
        event_row(
            EventType.FILL,
            fill_json(f, account=account, symbol=symbol),
            account=account,
            at=now,
        )
        for f in booked.fills
    ]
    shown = order_json(order, account=account, symbol=symbol)
    rows.append(event_row(EventType.ORDER, shown, account=account, at=now))
    if not booked.trades:
        return rows
    quote = getattr(order.instrument, "quote", None)
    held = position_json(
        position.holding,
        other_commissions=position.charged_elsewhere,
        position_id=position.pk,
        account=account,
        strategy=position.strategy,
        symbol=symbol,
        currency=order.instrument.currency,
        multiplier=order.instrument.multiplier,
        mark=quote.mark if quote else None,
        marked_at=quote.as_of if quote else None,
        updated_at=now,
    )
    pnl = {
        "account": account,
        "strategy": position.strategy,
        "symbol": symbol,
        "currency": order.instrument.currency,
        "realized_pnl": decimal_text(booked.realized),
        "commission": decimal_text(booked.commission),
    }
    rows.append(event_row(EventType.POSITION, held, account=account, at=now))
    rows.append(event_row(EventType.PNL, pnl, account=account, at=now))
    return rows


_ORDER_COLUMNS = (
    "status",
    "status_reason",
    "pending_action",
    "venue_order_id",
    "quantity",
    "limit_price",
    "stop_price",
    "reserved_quantity",
    "terms_at",
    "filled_quantity",
    "filled_cost",
    "commission",
    "amended_quantity",
    "filled_at",
    "submitted_at",
    "due_at",
    "poll_due_at",
    "cancel_due_at",
    "not_found_count",
    "not_found_since",
    "updated_at",
)
_ORDER = f"""booked_order AS (
    UPDATE orders_order SET {", ".join(f"{c} = %(order_{c})s" for c in _ORDER_COLUMNS)}
    WHERE id = %(order_id)s)"""  # noqa: S608 our own names

_POSITION_COLUMNS = (
    "quantity",
    "cost",
    "realized_pnl",
    "commission",
    "other_commissions",
    "folded_at",
    "folded_date",
    "folded_sequence",
    "folded_trade_id",
    "folded_count",
    "fold_points",
    "closed_pnl",
    "opening_quantity",
    "opening_cost",
    "opening_realized_pnl",
    "opening_commission",
    "updated_at",
)
_POSITION = f"""booked_position AS (
    UPDATE portfolio_position
    SET {", ".join(f"{c} = %(position_{c})s" for c in _POSITION_COLUMNS)}
    WHERE id = %(position_id)s)"""  # noqa: S608 our own names

_ATTEMPT = """answered AS (
    UPDATE orders_submissionattempt
    SET outcome = %(outcome)s, detail = %(detail)s, answered_at = clock_timestamp()
    WHERE id = %(attempt_id)s)"""


def _rows(name: str, model: type[Fill | FillAmendment]) -> str:
    """Return the clause that inserts the rows given as JSON in the parameter `name`."""
    table, columns = model._meta.db_table, statements.columns(model)
    rows = f"jsonb_populate_recordset(NULL::{table}, %({name})s)"
    return f"{name}_rows AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows})"  # noqa: S608 our own names


_FILLS = _rows("fills", Fill)
_AMENDMENTS = _rows("amendments", FillAmendment)
_CLOSED = """closed AS (
    INSERT INTO portfolio_closedtrade
        (connection_id, strategy, instrument_id, closed_at, sequence, venue_trade_id, pnl)
    SELECT o.connection_id, o.strategy, o.instrument_id, c.closed_at, c.sequence,
           c.venue_trade_id, c.pnl
    FROM jsonb_to_recordset(%(closed)s::jsonb)
        AS c (closed_at timestamptz, sequence numeric, venue_trade_id text, pnl numeric)
    JOIN orders_order o ON o.id = %(order_id)s)"""
_VENUE_ORDER = """named AS (
    INSERT INTO orders_venueorder
        (order_id, connection_id, venue_order_id, client_order_id, role, active)
    SELECT id, connection_id, %(order_venue_order_id)s, client_order_id, 'PRIMARY', true
    FROM orders_order WHERE id = %(order_id)s
    ON CONFLICT DO NOTHING)"""


def _closed_json(one: Closed) -> dict[str, str]:
    at, sequence, trade = one.key
    return {
        "closed_at": at.isoformat(),
        "sequence": str(sequence),
        "venue_trade_id": trade,
        "pnl": str(one.pnl),
    }


def _order_params(order: Order) -> dict[str, Any]:
    values = {f"order_{column}": getattr(order, column) for column in _ORDER_COLUMNS}
    return values | {"order_id": order.pk}


def _position_params(position: Position) -> dict[str, Any]:
    values = {f"position_{column}": getattr(position, column) for column in _POSITION_COLUMNS}
    return values | {"position_id": position.pk}
