"""What people and clients may do to orders."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from orders import entries
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models import Order
from risk import control, locks
from risk.checks import KillLevel


class NotCancellable(Exception):
    """The order has ended. `code` is stable."""

    code = "order_not_cancellable"


def request_cancel(order_id: int, *, actor: str, now: datetime) -> Order:
    """Cancel an order: at once before any send, else by asking its venue. Asking twice is fine.

    :raises NotCancellable: the order has ended
    """
    with transaction.atomic(durable=True):
        locks.rows(Order.objects.filter(pk=order_id))
        order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
        if OrderStatus(order.status) not in OPEN:
            raise NotCancellable(f"the order is {order.status}")
        if order.pending_action != PendingAction.CANCEL:
            entries.cancel_locked(order, reason=f"cancelled by {actor}", now=now)
    return order


def cancel_all(
    *,
    accounts: Iterable[str],
    strategy: str | None = None,
    symbol: str | None = None,
    actor: str,
    now: datetime,
) -> list[dict[str, Any]]:
    """Cancel every open order of the accounts, or of one strategy or symbol in them."""
    orders = Order.objects.open().filter(connection__name__in=list(accounts))
    if strategy:
        orders = orders.filter(strategy=strategy)
    if symbol:
        orders = orders.filter(instrument__symbol=symbol)
    results = []
    for order_id in orders.order_by("pk").values_list("pk", flat=True):
        try:
            order = request_cancel(order_id, actor=actor, now=now)
        except NotCancellable as e:
            results.append({"order": order_id, "result": str(e)})
        else:
            done = order.status == OrderStatus.CANCELLED
            results.append({"order": order_id, "result": "cancelled" if done else "requested"})
    return results


def kill(
    *,
    level: KillLevel,
    actor: str,
    reason: str,
    cancel_accounts: Iterable[str],
    now: datetime,
) -> list[dict[str, Any]]:
    """Engage the kill switch, then cancel what is open in `cancel_accounts`."""
    control.engage_kill(level=level, actor=actor, reason=reason, now=now)
    return cancel_all(accounts=cancel_accounts, actor=f"{actor} (kill)", now=now)
