"""A signal comes in: one durable transaction from its key to its queued order.

The transaction commits without waiting for the disk, so that the rows it locks are free at once;
one flush follows before anything leaves this process (`locks.flush_after_commit`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from brokers.contract import Side
from execution_site.floor.events import EventRow, EventType, event_row
from orders import hints
from orders.intake import insert
from orders.intake.requests import (
    IdempotencyConflict,
    InvalidSignal,
    SignalRequest,
    field_error,
    hash_body,
    json_body,
    open_case,
)
from orders.judging import gather
from orders.judging.admission import judge, new_decision, new_order
from orders.judging.case import Case, OrderSpec, Proposed
from orders.judging.situation import References, Situation
from orders.models import Action, ApiClient, Approval, Order, Signal, SignalStatus
from orders.order_state import cancel_entries
from orders.payloads import order_json, refusal_problem, signal_json
from portfolio.models import Position
from risk import locks
from risk.gate import DecisionStatus, Verdict


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to a signal, to the byte, and its order or group where there is one."""

    status: int
    body: str
    replayed: bool
    order_id: int | None
    group_id: int | None = None


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
        situation = gather.read(case)
        body_hash = hash_body(request.body)
        if situation.stored_hash is not None:
            outcome = _stored(situation, body_hash)
        else:
            outcome = _record(request, client, case, situation, body_hash=body_hash)
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


def _record(
    request: SignalRequest, client: ApiClient, case: Case, situation: Situation, *, body_hash: str
) -> StoredAnswer:
    """Judge the signal and write it, with its order when it was approved."""
    judged, decision, order = None, None, None
    if request.action is not Action.HOLD:
        judged = judge(case, situation)
        decision = new_decision(judged)
        if judged.verdict.approved:
            order = new_order(judged, signal_id=case.references.signal_id)
    verdict = None if judged is None else judged.verdict
    signal = _signal(request, client, case, verdict, body_hash=body_hash)
    status, answer = _answer(request, signal, verdict, order)
    signal.answer_status, signal.answer = status, answer
    written = _events(request, signal, verdict, order, now=case.now)
    insert.write(
        insert.Recording(signal=signal, decision=decision, order=order, events=written, at=case.now)
    )
    if judged is not None and judged.verdict.status is DecisionStatus.AWAITING_APPROVAL:
        Approval.objects.create(
            signal=signal,
            asked_at=case.now,
            expires_at=case.now + judged.facts.good_for,
            price=judged.facts.mid,
        )
    elif request.action is Action.EXIT and verdict is not None and _may_cancel_entries(verdict):
        cancel_entries(
            connection_id=signal.connection_id,
            strategy=request.strategy,
            instrument_id=case.references.instrument_id,
            now=case.now,
        )
    return StoredAnswer(status, answer, replayed=False, order_id=order.pk if order else None)


def _may_cancel_entries(verdict: Verdict) -> bool:
    """An EXIT cancels its strategy's entries, also where nothing is held yet to be closed."""
    return verdict.approved or {c.code for c in verdict.checks if c.status != "PASSED"} == {
        "nothing_to_close"
    }


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


def _signal(
    request: SignalRequest,
    client: ApiClient,
    case: Case,
    verdict: Verdict | None,
    *,
    body_hash: str,
) -> Signal:
    known = case.references
    status = SignalStatus.HELD if verdict is None else SignalStatus(verdict.status.value)
    return Signal(
        pk=known.signal_id,
        client=client,
        strategy=request.strategy,
        signal_id=request.signal_id,
        body_hash=body_hash,
        body=json_body(request.body),
        connection_id=known.connection_id,
        instrument_id=known.instrument_id,
        action=request.action.value,
        quantity=request.quantity,
        status=status.value,
        decision_id=None if verdict is None else known.decision_id,
        generated_at=request.generated_at,
        received_at=case.now,
        correlation_id=request.correlation_id,
        reason=request.reason,
    )


def _answer(
    request: SignalRequest, signal: Signal, verdict: Verdict | None, order: Order | None
) -> tuple[int, str]:
    """Return the status and body that this key gets, now and ever after."""
    names: dict[str, Any] = {"account": request.account, "symbol": request.symbol}
    decision = None if verdict is None else verdict.as_json()
    body: dict[str, Any] = {
        "signal": signal_json(signal, order=order, **names),
        "decision": decision,
        "order": None if order is None else order_json(order, **names),
    }
    if verdict is None:
        return 200, json.dumps(body)
    if not verdict.refused:
        return 202, json.dumps(body)
    problem = refusal_problem(verdict)
    return 422, json.dumps(problem | {"signal": body["signal"], "decision": decision})


def _events(
    request: SignalRequest,
    signal: Signal,
    verdict: Verdict | None,
    order: Order | None,
    *,
    now: datetime,
) -> list[EventRow]:
    names: dict[str, Any] = {"account": request.account, "symbol": request.symbol}
    data = {
        "signal": signal_json(signal, order=order, **names),
        "decision": None if verdict is None else verdict.as_json(),
    }
    written = [event_row(EventType.SIGNAL, data, account=request.account, at=now)]
    if order is not None:
        shown = order_json(order, **names)
        written.append(event_row(EventType.ORDER, shown, account=request.account, at=now))
    return written


def _stored(situation: Situation, body_hash: str) -> StoredAnswer:
    if situation.stored_hash != body_hash:
        raise IdempotencyConflict
    if situation.stored_status is None or situation.stored_answer is None:
        raise ValueError("a stored signal without its answer")
    return StoredAnswer(
        situation.stored_status,
        situation.stored_answer,
        replayed=True,
        order_id=situation.stored_order,
    )
