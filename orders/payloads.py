"""How signals, orders and fills look to the outside: in REST answers, events and on the page."""

from datetime import datetime
from typing import Any

from brokers.instruments.kinds import decimal_text, optional_text
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Fill, Order, Signal, SignalStatus
from risk.gate import Verdict

REFUSED_TYPE = "/problems/risk-refused"
EXECUTED = "EXECUTED"  # an approved signal whose order has been filled


def time_text(at: datetime | None) -> str | None:
    """Return a UTC time as ISO 8601 with microseconds, or None."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def order_json(order: Order, *, account: str, symbol: str) -> dict[str, Any]:
    """Return an order as clients see it."""
    action = order.pending_action
    return {
        "id": order.pk,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.venue_order_id or None,
        "account": account,
        "strategy": order.strategy,
        "symbol": symbol,
        "origin": str(order.origin),
        "side": str(order.side),
        "order_type": str(order.order_type),
        "time_in_force": str(order.time_in_force),
        "quantity": decimal_text(order.quantity),
        "filled_quantity": decimal_text(order.filled_quantity),
        "remaining_quantity": decimal_text(order.remaining_quantity),
        "limit_price": optional_text(order.limit_price),
        "stop_price": optional_text(order.stop_price),
        "average_price": optional_text(order.average_price),
        "commission": decimal_text(order.commission),
        "reduce_only": order.reduce_only,
        "post_only": order.post_only,
        "expires_at": time_text(order.expires_at),
        "status": str(order.status),
        "pending_action": None if action == PendingAction.NONE else str(action),
        "status_reason": order.status_reason or None,
        "retry_count": order.retry_count,
        "group": order.group_id,
        "leg": order.leg,
        "signal": order.signal_id,
        "correlation_id": order.correlation_id or None,
        "trading_date": order.trading_date.isoformat(),
        "created_at": time_text(order.created_at),
        "submitted_at": time_text(order.submitted_at),
        "filled_at": time_text(order.filled_at),
        "updated_at": time_text(order.updated_at),
    }


def refusal_problem(verdict: Verdict) -> dict[str, Any]:
    """Return what a refusal by risk says (RFC 9457), each failed check as an error."""
    failed = [check for check in verdict.checks if check.status != "PASSED"]
    return {
        "type": REFUSED_TYPE,
        "title": "Refused by risk",
        "status": 422,
        "detail": "; ".join(f"{check.name}: {check.detail}" for check in failed),
        "code": "risk_refused",
        "errors": [
            {"field": check.name, "code": check.code, "detail": check.detail} for check in failed
        ],
    }


def signal_json(
    signal: Signal,
    *,
    account: str,
    symbol: str | None,
    order: Order | None,
    group: int | None = None,
) -> dict[str, Any]:
    """Return a signal as clients see it, without its decision; a group's has no symbol."""
    filled = order is not None and order.status == OrderStatus.FILLED
    executed = filled and signal.status == SignalStatus.APPROVED
    return {
        "id": signal.pk,
        "signal_id": signal.signal_id,
        "strategy": signal.strategy,
        "account": account,
        "symbol": symbol,
        "action": str(signal.action),
        "quantity": optional_text(signal.quantity),
        "status": EXECUTED if executed else str(signal.status),
        "generated_at": time_text(signal.generated_at),
        "received_at": time_text(signal.received_at),
        "correlation_id": signal.correlation_id or None,
        "reason": signal.reason or None,
        "order": None if order is None else order.pk,
        "group": group,
    }


def fill_json(fill: Fill, *, account: str, symbol: str) -> dict[str, Any]:
    """Return a fill as clients see it."""
    return {
        "id": fill.pk,
        "order": fill.order_id,
        "account": account,
        "strategy": fill.strategy,
        "symbol": symbol,
        "venue_trade_id": fill.venue_trade_id,
        "sequence": decimal_text(fill.sequence),
        "side": str(fill.side),
        "quantity": decimal_text(fill.quantity),
        "price": decimal_text(fill.price),
        "commission": decimal_text(fill.commission),
        "commission_currency": fill.commission_currency,
        "liquidity": str(fill.liquidity),
        "flags": list(fill.flags),
        "traded_at": time_text(fill.traded_at),
        "received_at": time_text(fill.received_at),
        "late": fill.late,
    }
