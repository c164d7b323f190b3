"""A group comes in: one durable transaction from its key to all its orders, or to none.

The legs are judged one after the other, each with those before it counted as working. Since what
works counts at its worst, the last leg is judged on the worst that can come of the whole, whichever
legs are filled. One leg refused refuses all.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction

from execution_site.floor.events import EventType, record_event
from orders import hints
from orders.group_states import GroupStatus
from orders.groups import sharing
from orders.groups.payloads import group_json, payoff_json
from orders.intake import group_legs
from orders.intake.group_legs import GroupRequest, ProposedLeg
from orders.intake.recording import StoredAnswer
from orders.intake.requests import hash_body, json_body
from orders.intake.submit_signal import stored_answer
from orders.judging import gather
from orders.judging.admission import Decided, admit, decide
from orders.judging.case import Case
from orders.models import Action, ApiClient, Order, OrderGroup, Signal, SignalStatus
from orders.payloads import order_json, refusal_problem, signal_json
from portfolio.payoff import Payoff
from risk.gate import DecisionStatus, Verdict

LOOK_AGAIN = timedelta(seconds=1)


class _Refused(Exception):
    """Some leg was refused: whatever the others have written is undone."""


def submit_group(request: GroupRequest, *, client: ApiClient, now: datetime) -> StoredAnswer:
    """Record a group, judge all its legs, and queue the orders of its first stage.

    A repeated key returns the stored answer. Refusal is a value, not an exception.

    :raises InvalidSignal: no such account or symbol, or the legs are no such group
    :raises IdempotencyConflict: the key was used with another body
    """
    legs, expected = group_legs.read(request, client=client, now=now)
    with transaction.atomic(durable=True):
        cases = gather.lock([leg.case for leg in legs])
        legs = [replace(leg, case=case) for leg, case in zip(legs, cases, strict=True)]
        body_hash = hash_body(request.body)
        outcome = stored_answer(client, request.strategy, request.signal_id, body_hash)
        if outcome is None:
            outcome = _record(request, client, legs, expected, body_hash=body_hash)
    if outcome.group_id is not None and not outcome.replayed:
        hints.transmit(request.account)
    return outcome


def _record(
    request: GroupRequest,
    client: ApiClient,
    legs: Sequence[ProposedLeg],
    expected: Payoff | None,
    *,
    body_hash: str,
) -> StoredAnswer:
    """Judge every leg and write the group with its orders, or its refusal."""
    now = legs[0].case.now
    signal = _signal(request, client, legs[0].case, body_hash=body_hash)
    wanted = _group(request, signal, expected, now=now)
    group: OrderGroup | None = wanted
    judged: list[Decided] = []
    orders: list[Order] = []
    try:
        with transaction.atomic():
            signal.save(force_insert=True)
            wanted.save(force_insert=True)
            for leg in legs:  # each on the book with the legs before it
                judged.append(decide(leg.case, gather.read(leg.case)))
                if (order := judged[-1].order) is not None:
                    judged[-1].decision.save(force_insert=True)
                    orders.append(_admit(leg, order, wanted))
            if any(not one.verdict.approved for one in judged):  # nobody is asked about a group
                raise _Refused  # noqa: TRY301 the way out of the savepoint
            sharing.begin(wanted, orders)
    except _Refused:
        group, orders = None, []
        for one in judged:
            one.decision.save(force_insert=True)
    signal.status = (SignalStatus.APPROVED if group else SignalStatus.REFUSED).value
    status, body = _answer(request, signal, group, orders, list(zip(legs, judged, strict=True)))
    signal.answer_status, signal.answer = status, body
    signal.save(force_insert=group is None)
    told = {"signal": json.loads(body)["signal"], "decision": json.loads(body)["decision"]}
    record_event(EventType.SIGNAL, told, account=request.account, at=now)
    if group is not None:
        shown = group_json(group, account=request.account, legs=())
        record_event(EventType.GROUP, shown, account=request.account, at=now)
    group_id = None if group is None else group.pk
    return StoredAnswer(status, body, replayed=False, order_id=None, group_id=group_id)


def _admit(leg: ProposedLeg, order: Order, group: OrderGroup) -> Order:
    order.group, order.leg = group, leg.number
    if leg.stage:
        order.due_at = None  # until the stage before it is filled
    admit(order, leg.case)
    return order


def _answer(
    request: GroupRequest,
    signal: Signal,
    group: OrderGroup | None,
    orders: Sequence[Order],
    judged: Sequence[tuple[ProposedLeg, Decided]],
) -> tuple[int, str]:
    """Return the status and body that this key gets, now and ever after."""
    checks = [
        {"leg": leg.number, "symbol": leg.wanted.symbol} | check.as_json()
        for leg, one in judged
        for check in one.verdict.checks
    ]
    status = DecisionStatus.REFUSED if group is None else DecisionStatus.APPROVED
    decision = {"status": status.value, "checks": checks}
    shown = signal_json(
        signal,
        account=request.account,
        symbol=None,
        order=None,
        group=None if group is None else group.pk,
    )
    if group is None:
        failing = [check for _, one in judged for check in one.verdict.checks]
        problem = refusal_problem(Verdict(status, failing))
        if not problem["errors"]:  # each would pass, but nobody can approve a group
            said = "in SUPERVISED mode groups are refused: a person approves single signals"
            problem["detail"] = f"system_mode: {said}"
            problem["errors"] = [{"field": "system_mode", "code": "system_mode", "detail": said}]
        return 422, json.dumps(problem | {"signal": shown, "decision": decision, "group": None})
    symbols = {leg.number: leg.wanted.symbol for leg, _ in judged}
    legs = [
        order_json(order, account=request.account, symbol=symbols[order.leg or 0])
        for order in sorted(orders, key=lambda order: order.leg or 0)
    ]
    body = {
        "signal": shown,
        "decision": decision,
        "order": None,
        "group": group_json(group, account=request.account, legs=legs),
    }
    return 202, json.dumps(body)


def _signal(request: GroupRequest, client: ApiClient, case: Case, *, body_hash: str) -> Signal:
    return Signal(
        pk=case.references.signal_id,
        client=client,
        strategy=request.strategy,
        signal_id=request.signal_id,
        body_hash=body_hash,
        body=json_body(request.body),
        connection_id=case.references.connection_id,
        action=Action.GROUP.value,
        status=SignalStatus.APPROVED.value,
        generated_at=request.generated_at,
        received_at=case.now,
        correlation_id=request.correlation_id,
        reason=request.reason,
        answer_status=0,
        answer="",
    )


def _group(
    request: GroupRequest, signal: Signal, expected: Payoff | None, *, now: datetime
) -> OrderGroup:
    return OrderGroup(
        signal=signal,
        connection_id=signal.connection_id,
        strategy=request.strategy,
        type=request.type.value,
        on_leg_failure=request.on_leg_failure.value,
        leg_timeout_seconds=request.leg_timeout_seconds,
        status=GroupStatus.CREATED.value,
        expected=payoff_json(expected),
        deadline_at=now + timedelta(seconds=request.leg_timeout_seconds),
        due_at=now + LOOK_AGAIN,
        created_at=now,
        updated_at=now,
    )
