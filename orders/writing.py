"""The one statement that books fills: fills, order totals and status, position, answer, events."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.instruments import decimal_text
from execution_site import events, statements
from execution_site.events import EventRow, EventType, event_row
from orders.models import Fill, Order
from orders.payloads import fill_json, order_json
from portfolio.models import Position
from portfolio.payloads import position_json


def write(
    order: Order,
    position: Position,
    fills: Sequence[Fill],
    *,
    realized_before: Decimal,
    answer: Any,
    newly_named: bool,
    now: datetime,
) -> None:
    """Write an order's new state with its fills; `answer` closes the attempt that brought it.

    `newly_named` says that the venue's name for the order has just been learnt.
    """
    params: dict[str, Any] = _order_params(order)
    clauses = [_ORDER]
    if fills:
        clauses += [_FILLS, _POSITION]
        params |= _position_params(position) | {"fills": statements.rows_json(fills)}
    if newly_named:
        clauses.append(_VENUE_ORDER)
    if answer is not None:
        clauses.append(_ATTEMPT)
        params |= {
            "attempt_id": answer.attempt_id,
            "outcome": answer.outcome,
            "detail": answer.detail[:200],
        }
    written = _events(order, position, fills, realized_before=realized_before, now=now)
    params |= events.columns(written)
    statements.run(f"WITH {', '.join(clauses)} {events.INSERT_EVENTS}", params)
    events.wake_sealer()


def _events(
    order: Order,
    position: Position,
    fills: Sequence[Fill],
    *,
    realized_before: Decimal,
    now: datetime,
) -> list[EventRow]:
    account, symbol = order.connection.name, order.instrument.symbol
    rows = [
        event_row(
            EventType.FILL,
            fill_json(f, account=account, symbol=symbol),
            account=account,
            at=now,
        )
        for f in fills
    ]
    shown = order_json(order, account=account, symbol=symbol)
    rows.append(event_row(EventType.ORDER, shown, account=account, at=now))
    if not fills:
        return rows
    quote = getattr(order.instrument, "quote", None)
    held = position_json(
        position.holding,
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
        "realized_pnl": decimal_text(position.realized_pnl - realized_before),
        "commission": decimal_text(sum((f.commission for f in fills), Decimal(0))),
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
    "terms_at",
    "filled_quantity",
    "filled_cost",
    "commission",
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
    "folded_at",
    "folded_trade_id",
    "flat_at",
    "flat_trade_id",
    "flat_realized_pnl",
    "flat_commission",
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

_FILL_COLUMNS = statements.columns(Fill)
_FILLS = f"""booked_fills AS (
    INSERT INTO orders_fill ({_FILL_COLUMNS})
    SELECT {_FILL_COLUMNS} FROM jsonb_populate_recordset(NULL::orders_fill, %(fills)s))"""  # noqa: S608 our own names

_VENUE_ORDER = """named AS (
    INSERT INTO orders_venueorder
        (order_id, connection_id, venue_order_id, client_order_id, role, active)
    SELECT id, connection_id, %(order_venue_order_id)s, client_order_id, 'PRIMARY', true
    FROM orders_order WHERE id = %(order_id)s
    ON CONFLICT DO NOTHING)"""


def _order_params(order: Order) -> dict[str, Any]:
    values = {f"order_{column}": getattr(order, column) for column in _ORDER_COLUMNS}
    return values | {"order_id": order.pk}


def _position_params(position: Position) -> dict[str, Any]:
    values = {f"position_{column}": getattr(position, column) for column in _POSITION_COLUMNS}
    return values | {"position_id": position.pk}
