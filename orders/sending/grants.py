"""Leave to send: one durable transaction claims an order and writes its attempt, or refuses it.

The senders' lock is held shared from before the switches are read until the attempt is committed,
so a kill that has drained knows of every attempt granted under an older epoch.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from brokers.contract import Grant, OrderRequest, OrderTerms, OrderType, Side, TimeInForce
from brokers.models import Environment
from execution_site.floor import events, locks, statements
from execution_site.floor.events import EventType, event_row
from orders import hints, order_state
from orders.booking import read_sql, terms
from orders.booking.read_sql import Switches
from orders.lifecycle import AT_VENUE, OrderStatus, PendingAction, advance
from orders.models import Order, Origin, Replacement, SubmissionAttempt
from orders.models.replacement import ReplacementStatus
from orders.payloads import order_json
from risk import pacing
from risk.origins import passes_breaker, passes_kill, passes_mode
from risk.pacing import Turn

GRANT_SECONDS = 2.0
LOST_AFTER = timedelta(seconds=10)  # a sender of new terms that has not answered by then


class ClaimFailed(Exception):
    """Something went wrong with one order before leave to send it was given."""

    def __init__(self, order_id: int) -> None:
        super().__init__(f"order {order_id} cannot be claimed")
        self.order_id = order_id


@dataclass(frozen=True, slots=True)
class Claimed:
    """Something that was due; leave to send it, or None where it ended here or waits its turn."""

    order_id: int
    grant: Grant | None


def claim_and_grant(order_id: int, *, now: datetime) -> Grant | None:
    """Claim a due order and return leave to send it once.

    None means another worker has it, it is not due, its turn has not come, or a switch refused it.
    """
    claimed = _claim_first(_THIS, {"id": order_id}, now=now)
    return None if claimed is None else claimed.grant


def claim_oldest(account: str, *, now: datetime) -> Claimed | None:
    """Claim the oldest due order of an account that no other worker is claiming.

    None means that nothing is due, or that the account's next turn has not come.

    :raises ClaimFailed: it went wrong with the oldest; the others can be claimed
    """
    return _claim_first(_OLDEST, {"account": account}, now=now)


def _claim_first(due: str, which: dict[str, Any], *, now: datetime) -> Claimed | None:
    with transaction.atomic(durable=True):
        locks.senders_shared()
        if (row := statements.first(due, {**which, "now": now})) is None:
            return None
        try:
            return Claimed(row[0], _grant(row[0], now=now))
        except Exception as e:
            raise ClaimFailed(row[0]) from e


def _grant(order_id: int, *, now: datetime) -> Grant | None:
    """Grant a due order whose row is locked, or end it where a switch stops it."""
    order, switches = read_sql.with_switches(order_id)
    if refusal := _refusal(order, switches, now=now):
        _refuse(order, refusal, now=now)
        return None
    turn = _turn(order) if switches.paced else None
    if turn is not None and not turn.granted:
        return None
    granted_at = None if turn is None else turn.at
    return _claim(order, switches, started=time.monotonic(), now=now, granted_at=granted_at)


def grant_replacement(order_id: int, *, now: datetime) -> Grant | None:
    """Return leave to send an order's new terms once.

    None means that none are due, that their turn has not come, that the order has ended or is being
    cancelled, or that a switch refused terms that widen it.
    """
    claimed = _grant_first(_to_replace(now).filter(pk=order_id), now=now)
    return None if claimed is None else claimed.grant


def grant_oldest_replacement(account: str, *, now: datetime) -> Claimed | None:
    """Return leave to send the new terms that have waited longest in an account.

    None means that nothing is due, or that the account's next turn has not come.
    """
    if pacing.waits(account):
        return None
    return _grant_first(_to_replace(now).filter(connection__name=account), now=now)


def _to_replace(now: datetime) -> QuerySet[Order]:
    """Return the orders whose new terms are due, those first that have waited longest."""
    due = Q(replacements__status=ReplacementStatus.WAITING, replacements__due_at__lte=now)
    return Order.objects.filter(due).order_by("replacements__due_at", "pk")


def _grant_first(orders: QuerySet[Order], *, now: datetime) -> Claimed | None:
    with transaction.atomic(durable=True):
        locks.senders_shared()
        if (order_id := locks.first_free(orders)) is None:
            return None
        order, switches = read_sql.with_switches(order_id)
        due = order.replacements.filter(status=ReplacementStatus.WAITING, due_at__lte=now)
        grant = None
        if (row := due.first()) is None:
            pass  # another worker has just sent them
        elif order.status not in AT_VENUE or order.pending_action != PendingAction.REPLACE:
            terms.end_replacement(row, order, ReplacementStatus.OVERTAKEN, "", now=now)
        elif row.widens and (refusal := _refusal_to_widen(order, row, switches)):
            terms.end_replacement(row, order, ReplacementStatus.REFUSED, refusal, now=now)
        else:
            turn = _turn(order) if switches.paced else None
            if turn is None or turn.granted:
                grant = _grant_replacement(row, order, switches, turn, now=now)
        return Claimed(order_id, grant)


def _turn(order: Order) -> Turn:
    """Take the account's turn to send; where it has not come, have the account looked at then."""
    turn = pacing.take(order.connection_id)
    if not turn.granted:
        hint = partial(hints.transmit, order.connection.name, at=turn.at)
        transaction.on_commit(hint, robust=True)
    return turn


def _grant_replacement(
    row: Replacement, order: Order, switches: Switches, turn: Turn | None, *, now: datetime
) -> Grant:
    """Write the attempt; should its answer be lost, the order is asked about when it is over."""
    started = time.monotonic()
    attempt = SubmissionAttempt.objects.create(
        order=order,
        number=order.attempts.count() + 1,
        epoch=switches.epoch,
        granted_at=timezone.now() if turn is None else turn.at,
    )
    row.status, row.due_at, row.sent_at = ReplacementStatus.SENT, None, now
    row.attempts += 1
    row.save(update_fields=["status", "due_at", "sent_at", "attempts"])
    order.poll_due_at = now + LOST_AFTER
    order.save(update_fields=["poll_due_at"])
    return Grant(
        attempt_id=attempt.pk,
        order_id=order.pk,
        account=order.connection.name,
        attempt=row.attempts,
        epoch=switches.epoch,
        deadline=started + GRANT_SECONDS,
        request=_request(order, row.terms, switches),
    )


def _refusal_to_widen(order: Order, row: Replacement, switches: Switches) -> str | None:
    """Return why terms that widen an order may not be sent now, or None."""
    remaining = row.quantity - order.traded_quantity
    if order.reduce_only and remaining > _closable(order, switches):
        return "exceeds_closable"
    return _switched_off(order, switches)


def _switched_off(order: Order, switches: Switches) -> str | None:
    """Return the switch that stops an order, or None."""
    origin = Origin(order.origin)
    if not passes_kill(origin, switches.kill_level, reduce_only=order.reduce_only):
        return "kill_switch"
    if not passes_mode(origin, switches.mode, approved=bool(order.approved_by)):
        return "system_mode"
    if not order.connection.is_enabled:
        return "connection_disabled"
    if order.connection.environment == Environment.LIVE and not switches.live_trading_enabled:
        return "live_trading_disabled"
    if switches.breaker_tripped and not passes_breaker(origin, reduce_only=order.reduce_only):
        return "breaker"
    return None


def _refusal(order: Order, switches: Switches, *, now: datetime) -> str | None:
    """Return why the order may not be sent now, or None."""
    if (switched_off := _switched_off(order, switches)) is not None:
        return switched_off
    if order.send_before is not None and now > order.send_before:
        return "signal_expired"
    if order.reduce_only and order.quantity > _closable(order, switches):
        return "nothing_to_close"
    return None


def _closable(order: Order, switches: Switches) -> Decimal:
    held = -switches.position * Side(order.side).sign
    return held - switches.closing


def _reduces_account(order: Order, switches: Switches) -> bool:
    """Tell whether the whole order also reduces what all strategies of the account hold together.

    Only then may it be sent as reduce-only to the venue, which knows the account alone. What
    else works on its side may be filled first, and is taken as filled.
    """
    held = -switches.account_position * Side(order.side).sign
    return held - switches.account_closing >= order.quantity


def _refuse(order: Order, reason: str, *, now: datetime) -> None:
    """End an order that was never sent."""
    if not locks.rows(Order.objects.due(now=now).filter(pk=order.pk)):
        return  # cancelled or claimed meanwhile
    ended = OrderStatus.EXPIRED if reason == "signal_expired" else OrderStatus.CANCELLED
    order.status = advance(OrderStatus.PENDING, ended).value
    order.status_reason = reason
    order.due_at = None
    order_state.save(order, now=now)


def _claim(
    order: Order,
    switches: Switches,
    *,
    started: float,
    now: datetime,
    granted_at: datetime | None,
) -> Grant | None:
    """Write claim, attempt and event in one statement; of many workers exactly one gets it."""
    claimed_from = order.updated_at
    mid = None
    if switches.bid is not None and switches.ask is not None:
        mid = (switches.bid + switches.ask) / 2
    order.status = advance(OrderStatus.PENDING, OrderStatus.SUBMITTING).value
    order.claimed_at = order.updated_at = now
    order.mid_at_grant = mid
    account, symbol = order.connection.name, order.instrument.symbol
    shown = order_json(order, account=account, symbol=symbol)
    row = event_row(EventType.ORDER, shown, account=account, at=now)
    params = {
        "id": order.pk,
        "now": now,
        "claimed_from": claimed_from,
        "mid": mid,
        "epoch": switches.epoch,
        "number": order.retry_count + 1,
        "granted_at": granted_at,
        **events.columns([row]),
    }
    claimed = statements.first(_CLAIM, params)
    if claimed is None:
        return None
    events.wake_sealer()
    return Grant(
        attempt_id=claimed[0],
        order_id=order.pk,
        account=account,
        attempt=order.retry_count + 1,
        epoch=switches.epoch,
        deadline=started + GRANT_SECONDS,
        request=_request(order, terms.terms_of(order), switches),
    )


def _request(order: Order, terms: OrderTerms, switches: Switches) -> OrderRequest:
    return OrderRequest(
        client_order_id=order.client_order_id,
        symbol=order.instrument.symbol,
        side=Side(order.side),
        quantity=terms.quantity,
        order_type=OrderType(order.order_type),
        time_in_force=TimeInForce(order.time_in_force),
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        expires_at=order.expires_at,
        post_only=order.post_only,
        reduce_only=order.reduce_only and _reduces_account(order, switches),
    )


_CLAIM = f"""
WITH claimed AS (
    UPDATE orders_order
    SET status = 'SUBMITTING', claimed_at = %(now)s, updated_at = %(now)s, due_at = NULL,
        mid_at_grant = %(mid)s
    WHERE id = %(id)s AND status = 'PENDING' AND due_at <= %(now)s
      AND updated_at = %(claimed_from)s
    RETURNING id),
attempt AS (
    INSERT INTO orders_submissionattempt
        (order_id, number, epoch, granted_at, outcome, detail)
    SELECT id, %(number)s, %(epoch)s,
           coalesce(%(granted_at)s::timestamptz, clock_timestamp()), 'GRANTED', '' FROM claimed
    RETURNING id),
event AS ({events.INSERT_EVENTS} CROSS JOIN claimed RETURNING id)
SELECT id FROM attempt
"""  # noqa: S608 our own constant
_DUE = f"""
SELECT o.id FROM orders_order o
WHERE {{of}} AND o.status = 'PENDING' AND o.due_at <= %(now)s
ORDER BY o.due_at, o.id LIMIT 1 {locks.FREE_FOR_UPDATE}
"""  # noqa: S608 our own constant
_THIS = _DUE.format(of="o.id = %(id)s")
_OLDEST = _DUE.format(
    of=f"""o.connection_id = (SELECT id FROM brokers_brokerconnection WHERE name = %(account)s)
  AND NOT {pacing.WAITS}"""  # noqa: S608 our own constant
)
