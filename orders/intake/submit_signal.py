"""A signal comes in: one durable transaction from its key to its queued order.

The transaction commits without waiting for the disk, so that the rows it locks are free at once;
one flush follows before anything leaves this process (`locks.flush_after_commit`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from brokers.contract import Side
from execution_site.floor import locks
from orders import hints
from orders.intake.recording import StoredAnswer, record
from orders.intake.requests import (
    IdempotencyConflict,
    InvalidSignal,
    SignalRequest,
    field_error,
    hash_body,
    open_case,
)
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.judging.situation import References
from orders.models import Action, ApiClient, Order, Signal
from portfolio.models import Position


def submit_signal(request: SignalRequest, *, client: ApiClient, now: datetime) -> StoredAnswer:
    """Record a signal, judge it, and queue its order for the venue.

    A repeated key returns the stored answer. Refusal is a value, not an exception. `now` is the
    wall's time; an account whose market is replayed is judged by its market's.

    :raises InvalidSignal: no such account or symbol, or an order that would have expired
    :raises IdempotencyConflict: the key was used with another body
    """
    case = open_case(proposed_by(request, client), spec_of(request, client), now=now)
    market_now = case.references.clock or now
    if request.expires_at is not None and request.expires_at <= market_now:
        late = field_error("expires_at", "in_the_past", "the order would have expired")
        raise InvalidSignal([late])
    with transaction.atomic(durable=True):
        (case,) = gather.lock([case])
        lock_rows(request, case.references)
        outcome = record(request, client, case)
    if outcome.order_id is not None and not outcome.replayed:
        hints.transmit(request.account)
    return outcome


def answered_before(body: Mapping[str, Any], *, client: ApiClient) -> StoredAnswer | None:
    """Return the stored answer to a body that is refused now, None where its key is new.

    A repeat that is on its way with the key is waited for.

    :raises IdempotencyConflict: the key was used with another body
    """
    strategy, signal_id = body.get("strategy"), body.get("signal_id")
    if not isinstance(strategy, str) or not isinstance(signal_id, str):
        return None
    with transaction.atomic(durable=True):
        locks.signal_key(client.pk, strategy, signal_id)
        return stored_answer(client, strategy, signal_id, hash_body(body))


def stored_answer(
    client: ApiClient, strategy: str, signal_id: str, body_hash: str
) -> StoredAnswer | None:
    """Return the answer that a locked key was given before, or None.

    :raises IdempotencyConflict: with another body
    """
    held = (
        Signal.objects.filter(client=client, strategy=strategy, signal_id=signal_id)
        .select_related("order", "group")
        .first()
    )
    if held is None:
        return None
    if held.body_hash != body_hash:
        raise IdempotencyConflict
    order, group = getattr(held, "order", None), getattr(held, "group", None)
    return StoredAnswer(
        held.answer_status,
        held.answer,
        replayed=True,
        order_id=None if order is None else order.pk,
        group_id=None if group is None else group.pk,
    )


def lock_rows(request: SignalRequest, known: References) -> None:
    """Lock what an order that closes rests on: the entries it cancels, and the position."""
    own: dict[str, Any] = {
        "connection_id": known.connection_id,
        "strategy": request.strategy,
        "instrument_id": known.instrument_id,
    }
    if request.action is Action.EXIT:
        locks.rows(Order.objects.open().filter(reduce_only=False, **own))
    if request.reduces:
        locks.rows(Position.objects.filter(**own))


def proposed_by(
    request: SignalRequest, client: ApiClient, *, approved_by: str | None = None
) -> Proposed:
    """Return the order a signal asks for, as risk sees it."""
    side = None if request.action in {Action.EXIT, Action.HOLD} else Side(request.action.value)
    return Proposed(
        account=request.account,
        strategy=request.strategy,
        symbol=request.symbol,
        side=side,
        quantity=request.quantity,
        order_type=request.order_type,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        reduce_only=request.reduces,
        generated_at=request.generated_at,
        valid_until=request.valid_until,
        approved_by=approved_by,
        client_id=client.pk,
        key=request.signal_id,
    )


def spec_of(request: SignalRequest, client: ApiClient) -> OrderSpec:
    """Return what a signal's order is beyond what it is judged by."""
    return OrderSpec(
        client=client.name,
        time_in_force=request.time_in_force,
        expires_at=request.expires_at,
        post_only=request.post_only,
        reference_price=request.reference_price,
        correlation_id=request.correlation_id,
    )
