"""Emergency: cancel one or all, flatten, kill and release.

What is asked of many orders is a row (orders/control/mass_actions.py), committed before it is
answered, with the kill where there is one. Flattening cancels first, then closes what is held by
orders of its own origin, through the same gate: they pass every mode and every kill
switch (risk/origins.py).
"""

from collections.abc import Iterable
from datetime import datetime

from brokers.models import BrokerConnection
from execution_site.floor import locks
from execution_site.rest.idempotency import once
from orders import order_state
from orders.control import mass_actions
from orders.control.scopes import narrowed
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models import MassAction, Order
from risk import control
from risk.facts import KillLevel
from risk.kills import KillSwitch, TradingScope

Kind = MassAction.Kind


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
    with once():
        locks.rows(Order.objects.filter(pk=order_id))
        order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
        if OrderStatus(order.status) not in OPEN:
            raise NotCancellable(f"the order is {order.status}")
        if order.pending_action != PendingAction.CANCEL:
            order_state.cancel_locked(order, reason=f"cancelled by {actor}", now=now)
    return order


def cancel_all(
    scope: TradingScope, *, accounts: Iterable[str], actor: str, now: datetime
) -> MassAction:
    """Cancel every open order in the scope, as far as it lies in `accounts`."""
    with once():
        action = mass_actions.ask(
            Kind.CANCEL, scope, accounts=accounts, actor=actor, reason="cancel all", now=now
        )
    return mass_actions.begin(action.pk)


def flatten(
    scope: TradingScope, *, accounts: Iterable[str], actor: str, reason: str, now: datetime
) -> MassAction:
    """Close everything that is held in the scope: cancels first, then closing orders.

    :raises audit.ReasonRequired: without a reason
    """
    with once():
        action = mass_actions.ask(
            Kind.FLATTEN, scope, accounts=accounts, actor=actor, reason=reason, now=now
        )
    return mass_actions.begin(action.pk)


def kill(
    scope: TradingScope,
    *,
    level: KillLevel,
    actor: str,
    reason: str,
    accounts: Iterable[str],
    cancel_open: bool,
    flatten_too: bool,
    now: datetime,
) -> tuple[KillSwitch, MassAction | None]:
    """Engage the kill switch, and cancel or flatten in its scope, as far as asked.

    Both are committed together, then the senders are drained. A kill that could not be drained has
    no `drained_at` yet; the sweeper goes on. At REDUCE_ONLY reduce-only orders are not cancelled.

    :raises audit.ReasonRequired: without a reason
    """
    action = None
    with once():
        engaged = control.add_kill(level=level, scope=scope, actor=actor, reason=reason, now=now)
        if flatten_too or cancel_open:
            action = mass_actions.ask(
                Kind.FLATTEN if flatten_too else Kind.CANCEL,
                scope,
                accounts=accounts,
                actor=f"{actor} (kill)",
                reason=reason,
                now=now,
                kill=engaged,
                keeps_reducing=level is KillLevel.REDUCE_ONLY and not flatten_too,
            )
    control.drain_or_leave()
    engaged.refresh_from_db()
    return engaged, None if action is None else mass_actions.begin(action.pk)


def release(scope: TradingScope, *, actor: str, reason: str, now: datetime) -> int:
    """Release the kill switch of a scope, in the caller's transaction, once nothing is uncertain.

    :returns: how many were engaged for exactly this scope
    :raises NotReleasable: saying what is
    :raises audit.ReasonRequired: without a reason
    """
    released = control.remove_kill(scope=scope, actor=actor, reason=reason, now=now)
    if problems := release_problems(scope):
        raise NotReleasable(problems)
    return released


def release_problems(scope: TradingScope) -> list[str]:
    """Return what stands against releasing: orders in doubt, accounts that do not agree."""
    problems = []
    in_doubt = narrowed(Order.objects.all(), scope).filter(status=OrderStatus.IN_DOUBT).count()
    if in_doubt:
        problems.append(f"{in_doubt} orders are in doubt")
    connections = BrokerConnection.objects.filter(is_reconciling=True)
    if scope.account:
        connections = connections.filter(name=scope.account)
    problems += [f"{c.name} is being reconciled" for c in connections]
    return problems
