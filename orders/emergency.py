"""Emergency: cancel all, flatten, kill and release. Each says per order what happened.

Flattening cancels first, waits a little for the venue's word, then closes what is held by orders of
its own origin, through the same gate: they pass every mode and every kill switch, nothing else.
"""

import time
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from brokers.instruments import decimal_text
from brokers.models import BrokerConnection
from execution_site import audit
from orders import entries, facts, hints
from orders.admission import Ticket, decide
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models import Order, Origin
from orders.situation import Asked
from portfolio.models import Position
from risk import control, locks
from risk.facts import KillLevel
from risk.kills import KillSwitch, Scope

CANCELS_WITHIN = timedelta(seconds=3)  # how long flattening waits for cancels before it closes
LOOK_AGAIN = 0.05
Result = dict[str, Any]


class NotCancellable(Exception):
    """The order has ended. `code` is stable."""

    code = "order_not_cancellable"


class NotReleasable(Exception):
    """The kill switch must stay engaged. `problems` say why."""

    code = "not_releasable"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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
    scope: Scope, *, accounts: Iterable[str], actor: str, now: datetime, keep: str = ""
) -> list[Result]:
    """Cancel every open order in the scope, as far as it lies in `accounts`; `keep` an origin."""
    working = _working(scope, accounts).exclude(origin=keep)
    results = []
    for order_id in working.order_by("pk").values_list("pk", flat=True):
        try:
            order = request_cancel(order_id, actor=actor, now=now)
        except NotCancellable as e:
            results.append({"order": order_id, "result": str(e)})
        else:
            done = order.status == OrderStatus.CANCELLED
            results.append({"order": order_id, "result": "cancelled" if done else "requested"})
    return results


def flatten(
    scope: Scope, *, accounts: Iterable[str], actor: str, reason: str, now: datetime
) -> dict[str, list[Result]]:
    """Close everything that is held in the scope: cancels first, then closing orders.

    :raises audit.ReasonRequired: without a reason
    """
    names = list(accounts)
    with transaction.atomic():
        audit.record(
            "flatten", actor=actor, reason=reason, at=now, before=None, after=scope.as_json()
        )
    cancelled = cancel_all(
        scope, accounts=names, actor=f"{actor} (flatten)", now=now, keep=Origin.FLATTEN
    )
    _await_cancels([row["order"] for row in cancelled if row["result"] == "requested"])
    run = uuid.uuid4().hex[:12]
    closed = [_close(position, run=run, actor=actor) for position in _held(scope, names)]
    return {"cancelled": cancelled, "closed": closed}


def kill(
    scope: Scope,
    *,
    level: KillLevel,
    actor: str,
    reason: str,
    accounts: Iterable[str],
    cancel_open: bool,
    flatten_too: bool,
    now: datetime,
) -> tuple[KillSwitch, dict[str, list[Result]]]:
    """Engage the kill switch, then cancel or flatten in its scope, as far as asked.

    :raises audit.ReasonRequired: without a reason
    :raises control.NotDrained: engaged, but an earlier sender could not be drained
    """
    engaged = control.engage_kill(level=level, scope=scope, actor=actor, reason=reason, now=now)
    names = list(accounts)
    done: dict[str, list[Result]] = {"cancelled": [], "closed": []}
    if flatten_too:
        done = flatten(scope, accounts=names, actor=f"{actor} (kill)", reason=reason, now=now)
    elif cancel_open:
        done["cancelled"] = cancel_all(scope, accounts=names, actor=f"{actor} (kill)", now=now)
    return engaged, done


def release(scope: Scope, *, actor: str, reason: str, now: datetime) -> None:
    """Release the kill switch of a scope once nothing in it is uncertain.

    :raises NotReleasable: saying what is
    :raises audit.ReasonRequired: without a reason
    """
    if problems := release_problems(scope):
        raise NotReleasable(problems)
    control.release_kill(scope=scope, actor=actor, reason=reason, now=now)


def release_problems(scope: Scope) -> list[str]:
    """Return what stands against releasing: orders in doubt, accounts that do not agree."""
    problems = []
    in_doubt = _narrowed(Order.objects.all(), scope).filter(status=OrderStatus.IN_DOUBT).count()
    if in_doubt:
        problems.append(f"{in_doubt} orders are in doubt")
    connections = BrokerConnection.objects.filter(is_reconciling=True)
    if scope.account:
        connections = connections.filter(name=scope.account)
    problems += [f"{c.name} is being reconciled" for c in connections]
    return problems


def _narrowed(rows: Any, scope: Scope) -> Any:
    """Return the orders or positions that lie in a scope."""
    if scope.account:
        rows = rows.filter(connection__name=scope.account)
    if scope.strategy:
        rows = rows.filter(strategy=scope.strategy)
    if scope.symbol:
        rows = rows.filter(instrument__symbol=scope.symbol)
    return rows


def _working(scope: Scope, accounts: Iterable[str]) -> Any:
    working = Order.objects.open().filter(connection__name__in=list(accounts))
    return _narrowed(working, scope)


def _await_cancels(order_ids: list[int]) -> None:
    """Wait until these orders have ended, but not for ever."""
    deadline = time.monotonic() + CANCELS_WITHIN.total_seconds()
    while order_ids and time.monotonic() < deadline:
        if not Order.objects.open().filter(pk__in=order_ids).exists():
            return
        time.sleep(LOOK_AGAIN)


def _held(scope: Scope, accounts: list[str]) -> list[Position]:
    held = Position.objects.filter(connection__name__in=accounts).exclude(quantity=0)
    return list(_narrowed(held, scope).select_related("connection", "instrument").order_by("pk"))


def _close(position: Position, *, run: str, actor: str) -> Result:
    """Judge and queue one market order that closes what can be closed of a position."""
    account, symbol = position.connection.name, position.instrument.symbol
    now = timezone.now()
    asked = Asked(
        account=account,
        strategy=position.strategy,
        symbol=symbol,
        side=None,
        quantity=None,
        reduce_only=True,
        origin=Origin.FLATTEN.value,
        key=f"{run}/{position.pk}",
    )
    known = facts.references(account, symbol, now=now)
    day = position.connection.trading_date(known.clock or now)
    result: Result = {"position": position.pk, "account": account, "symbol": symbol}
    with transaction.atomic(durable=True):
        shared = facts.lock(known, asked, now=now)
        locks.rows(Position.objects.filter(pk=position.pk))
        seen = facts.read(known, asked, shared, now=now, day=day)
        ticket = Ticket(
            account=account,
            strategy=position.strategy,
            client=actor,
            key=asked.key,
            origin=Origin.FLATTEN,
        )
        decided = decide(known, seen, asked, ticket, now=now, day=day)
    if (order := decided.order) is None:
        return result | {"order": None, "result": f"refused: {decided.refusal}"}
    hints.transmit(account)
    left = abs(seen.strategy.net) - order.quantity
    said = "closing"
    if left:
        said += f"; {decimal_text(left)} more are held by working orders"
    return result | {"order": order.pk, "quantity": decimal_text(order.quantity), "result": said}
