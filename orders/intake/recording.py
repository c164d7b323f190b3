"""A judged signal is written with its answer, its order and its events, by one statement."""

import json
from dataclasses import dataclass
from typing import Any

from execution_site.floor.events import EventType, event_row
from orders.intake import insert
from orders.intake.requests import IdempotencyConflict, SignalRequest, hash_body, json_body
from orders.judging import gather
from orders.judging.admission import Decided, decide
from orders.judging.case import Case
from orders.judging.situation import Situation
from orders.models import Action, ApiClient, Approval, Signal, SignalStatus
from orders.order_state import cancel_entries
from orders.payloads import order_json, refusal_problem, signal_json
from risk.gate import DecisionStatus, Verdict


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer to a signal, to the byte, and its order or group where there is one."""

    status: int
    body: str
    replayed: bool
    order_id: int | None
    group_id: int | None = None


def record(request: SignalRequest, client: ApiClient, case: Case) -> StoredAnswer:
    """Judge a locked case and write what came of it; a key that was used gets its stored answer.

    :raises IdempotencyConflict: it was used with another body
    """
    situation = gather.read(case)
    body_hash = hash_body(request.body)
    if situation.stored_hash is not None:
        return _stored(situation, body_hash)
    decided = None
    if request.action is not Action.HOLD:
        decided = decide(case, situation, signal_id=case.references.signal_id)
    signal = _signal(request, client, case, decided, body_hash=body_hash)
    order = None if decided is None else decided.order
    _write(request, signal, decided)
    if decided is not None and decided.verdict.status is DecisionStatus.AWAITING_APPROVAL:
        Approval.objects.create(
            signal=signal,
            asked_at=case.now,
            expires_at=case.now + decided.facts.good_for,
            price=decided.facts.mid,
        )
    elif request.action is Action.EXIT and decided and _may_cancel_entries(decided.verdict):
        cancel_entries(
            connection_id=signal.connection_id,
            strategy=request.strategy,
            instrument_id=case.references.instrument_id,
            now=case.now,
        )
    return StoredAnswer(
        signal.answer_status, signal.answer, replayed=False, order_id=order.pk if order else None
    )


def _may_cancel_entries(verdict: Verdict) -> bool:
    """An EXIT cancels its strategy's entries, also where nothing is held yet to be closed."""
    return verdict.approved or {c.code for c in verdict.checks if c.status != "PASSED"} == {
        "nothing_to_close"
    }


def _signal(
    request: SignalRequest,
    client: ApiClient,
    case: Case,
    decided: Decided | None,
    *,
    body_hash: str,
) -> Signal:
    known = case.references
    status = SignalStatus.HELD if decided is None else SignalStatus(decided.verdict.status.value)
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
        decision_id=None if decided is None else known.decision_id,
        generated_at=request.generated_at,
        received_at=case.now,
        correlation_id=request.correlation_id,
        reason=request.reason,
    )


def _write(request: SignalRequest, signal: Signal, decided: Decided | None) -> None:
    """Write the signal with its answer, which its key gets now and ever after, and its events."""
    order = None if decided is None else decided.order
    names: dict[str, Any] = {"account": request.account, "symbol": request.symbol}
    shown = signal_json(signal, order=order, **names)
    decision = None if decided is None else decided.verdict.as_json()
    order_shown = None if order is None else order_json(order, **names)
    body: dict[str, Any] = {"signal": shown, "decision": decision, "order": order_shown}
    if decided is None:
        status = 200
    elif not decided.verdict.refused:
        status = 202
    else:
        status = 422
        problem = refusal_problem(decided.verdict)
        body = problem | {"signal": shown, "decision": decision}
    signal.answer_status, signal.answer = status, json.dumps(body)
    at, account = signal.received_at, request.account
    events = [
        event_row(EventType.SIGNAL, {"signal": shown, "decision": decision}, account=account, at=at)
    ]
    if order_shown is not None:
        events.append(event_row(EventType.ORDER, order_shown, account=account, at=at))
    insert.write(
        insert.Recording(
            signal=signal,
            decision=None if decided is None else decided.decision,
            order=order,
            events=events,
            at=at,
        )
    )


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
