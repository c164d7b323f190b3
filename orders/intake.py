"""A signal comes in: one durable transaction from its key to its queued order.

The transaction commits without waiting for the disk, so that the rows it locks are free at once;
one flush follows before anything leaves this process: the answer, the hint or a venue call.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from brokers import calendars
from brokers.contract import OrderType, Side, TimeInForce
from execution_site import statements
from execution_site.events import EventRow, EventType, canonical, event_row
from orders import facts, hints, recording
from orders.clients import ApiClient
from orders.entries import cancel_entries
from orders.facts import References, Situation
from orders.identity import client_order_id
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Action, Order, Origin, Signal, SignalStatus
from orders.payloads import order_json, refusal_problem, signal_json
from portfolio.models import Position
from risk import locks
from risk.checks import Facts
from risk.gate import BUILD, Verdict, judge
from risk.models import RiskDecision


class IdempotencyConflict(Exception):
    """The key was used before, with another body."""


class InvalidSignal(Exception):
    """The signal names something that does not exist. `errors` name the fields."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(str(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRequest:
    """A signal as a client sent it, validated field by field. `body` is what it sent."""

    signal_id: str
    strategy: str
    account: str
    symbol: str
    action: Action
    body: dict[str, Any]
    quantity: Decimal | None = None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_at: datetime | None = None
    reduce_only: bool = False
    post_only: bool = False
    reference_price: Decimal | None = None
    generated_at: datetime | None = None
    valid_until: datetime | None = None
    correlation_id: str = ""
    reason: str = ""
    tag: str = ""
    product: str = ""
    exchange: str = ""
    timeframe: str = ""
    confidence: Decimal | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def reduces(self) -> bool:
        """Tell whether its order may only close what the strategy holds."""
        return self.action is Action.EXIT or self.reduce_only


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a signal, to the byte, and its order where there is one."""

    status: int
    body: str
    replayed: bool
    order_id: int | None


def submit_signal(request: SignalRequest, *, client: ApiClient, now: datetime) -> Outcome:
    """Record a signal, judge it, and queue its order for the venue.

    A repeated key returns the stored answer. Refusal is a value, not an exception. `now` is the
    wall's time; an account whose market is replayed is judged by its market's.

    :raises InvalidSignal: no such account or symbol, or an order that would have expired
    :raises IdempotencyConflict: the key was used with another body
    """
    known = _references(request)
    market_now = known.clock or now
    if request.expires_at is not None and request.expires_at <= market_now:
        raise InvalidSignal([_error("expires_at", "in_the_past", "the order would have expired")])
    day = calendars.trading_date(market_now, roll=known.roll_time, zone=known.roll_zone)
    trades = request.action is not Action.HOLD
    with transaction.atomic(durable=True):
        locks.signal_key(f"{client.pk}\x1f{request.strategy}\x1f{request.signal_id}")
        usage_id = facts.lock_usage(known.connection_id, day) if trades else None
        own: dict[str, Any] = {
            "connection_id": known.connection_id,
            "strategy": request.strategy,
            "instrument_id": known.instrument_id,
        }
        if request.action is Action.EXIT:
            locks.rows(Order.objects.open().filter(reduce_only=False, **own))
        if request.reduces:
            locks.rows(Position.objects.filter(**own))
        seen = facts.situation(client_id=client.pk, key=request.signal_id, usage_id=usage_id, **own)
        body_hash = hashlib.sha256(_text(request.body).encode()).hexdigest()
        if seen.stored_hash is not None:
            outcome = _stored(seen, body_hash)
        else:
            outcome = _record(
                request,
                client,
                known,
                seen,
                usage_id=usage_id,
                body_hash=body_hash,
                now=now,
                day=day,
            )
    statements.flush()
    if outcome.order_id is not None and not outcome.replayed:
        hints.transmit(outcome.order_id, request.account)
    return outcome


def _record(
    request: SignalRequest,
    client: ApiClient,
    known: References,
    seen: Situation,
    *,
    usage_id: int | None,
    body_hash: str,
    now: datetime,
    day: date,
) -> Outcome:
    """Judge the signal and write it, with its order when it was approved."""
    verdict, decision, order, judged = None, None, None, None
    if request.action is not Action.HOLD:
        judged = _facts(request, known, seen, now=known.clock or now)
        verdict = judge(judged)
        decision = RiskDecision(
            pk=known.decision_id,
            status=verdict.status.value,
            checks=[check.as_json() for check in verdict.checks],
            inputs=judged.as_json(),
            build=BUILD,
            decided_at=now,
        )
    signal = _signal(request, client, known, verdict, now=now, body_hash=body_hash)
    if judged is not None and verdict is not None:
        signal.decision_id = known.decision_id
        if verdict.approved:
            order = _order(request, client, known, seen, judged, now=now, day=day)
    status, answer = _answer(request, signal, verdict, order)
    signal.answer_status, signal.answer = status, answer
    written = _events(request, signal, verdict, order, now=now)
    recording.write(
        recording.Recording(
            signal=signal,
            decision=decision,
            order=order,
            usage_id=usage_id,
            events=written,
            at=now,
        )
    )
    if request.action is Action.EXIT and verdict is not None and _may_cancel_entries(verdict):
        cancel_entries(
            connection_id=signal.connection_id,
            strategy=request.strategy,
            instrument_id=signal.instrument_id,
            now=now,
        )
    return Outcome(status, answer, replayed=False, order_id=order.pk if order else None)


def _may_cancel_entries(verdict: Verdict) -> bool:
    """An EXIT cancels its strategy's entries, also where nothing is held yet to be closed."""
    return verdict.approved or {c.code for c in verdict.checks if c.status != "PASSED"} == {
        "nothing_to_close"
    }


def _facts(request: SignalRequest, known: References, seen: Situation, *, now: datetime) -> Facts:
    if request.action is Action.EXIT:
        side = Side.BUY if seen.position < 0 else Side.SELL
    else:
        side = Side(request.action.value)
    closable = facts.closable(seen, side) if request.reduces else None
    quantity = request.quantity
    if quantity is None:
        quantity = closable or Decimal(0)
    asked = facts.Asked(
        symbol=request.symbol,
        side=side,
        quantity=quantity,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        reduce_only=request.reduces,
        closable=closable,
        generated_at=request.generated_at,
        valid_until=request.valid_until,
    )
    return facts.judged(known, seen, asked, now=now)


def _signal(
    request: SignalRequest,
    client: ApiClient,
    known: References,
    verdict: Verdict | None,
    *,
    now: datetime,
    body_hash: str,
) -> Signal:
    if verdict is None:
        status = SignalStatus.HELD
    else:
        status = SignalStatus.APPROVED if verdict.approved else SignalStatus.REFUSED
    return Signal(
        pk=known.signal_id,
        client=client,
        strategy=request.strategy,
        signal_id=request.signal_id,
        body_hash=body_hash,
        body=json.loads(_text(request.body)),
        connection_id=known.connection_id,
        instrument_id=known.instrument_id,
        action=request.action.value,
        quantity=request.quantity,
        status=status.value,
        generated_at=request.generated_at,
        received_at=now,
        correlation_id=request.correlation_id,
        reason=request.reason,
    )


def _order(
    request: SignalRequest,
    client: ApiClient,
    known: References,
    seen: Situation,
    judged: Facts,
    *,
    now: datetime,
    day: date,
) -> Order:
    # A deadline of ours is on the wall's clock, also where the signal's is on a replayed one.
    good_for = timedelta(microseconds=int(judged.max_signal_age * 1_000_000))
    if request.valid_until is not None:
        good_for = min(good_for, request.valid_until - judged.now)
    return Order(
        pk=known.order_id,
        signal_id=known.signal_id,
        origin=Origin.SIGNAL.value,
        client_order_id=client_order_id(
            installation=seen.installation,
            client=client.name,
            account=request.account,
            strategy=request.strategy,
            signal_id=request.signal_id,
        ),
        connection_id=known.connection_id,
        strategy=request.strategy,
        instrument_id=known.instrument_id,
        side=judged.side.value,
        order_type=request.order_type.value,
        time_in_force=request.time_in_force.value,
        quantity=judged.quantity,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        expires_at=request.expires_at,
        post_only=request.post_only,
        reduce_only=request.reduces,
        status=OrderStatus.PENDING.value,
        pending_action=PendingAction.NONE.value,
        reference_price=request.reference_price,
        correlation_id=request.correlation_id,
        trading_date=day,
        created_at=now,
        updated_at=now,
        due_at=now,
        send_before=now + good_for,
    )


def _answer(
    request: SignalRequest, signal: Signal, verdict: Verdict | None, order: Order | None
) -> tuple[int, str]:
    """Return the status and body that this key gets, now and ever after."""
    names = {"account": request.account, "symbol": request.symbol}
    decision = None if verdict is None else verdict.as_json()
    body: dict[str, Any] = {
        "signal": signal_json(signal, order=order, **names),
        "decision": decision,
        "order": None if order is None else order_json(order, **names),
    }
    if verdict is None:
        return 200, json.dumps(body)
    if verdict.approved:
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
    names = {"account": request.account, "symbol": request.symbol}
    data = {
        "signal": signal_json(signal, order=order, **names),
        "decision": None if verdict is None else verdict.as_json(),
    }
    written = [event_row(EventType.SIGNAL, data, account=request.account, at=now)]
    if order is not None:
        shown = order_json(order, **names)
        written.append(event_row(EventType.ORDER, shown, account=request.account, at=now))
    return written


def _references(request: SignalRequest) -> References:
    try:
        return facts.references(request.account, request.symbol)
    except facts.UnknownNames as e:
        errors = []
        if e.account:
            errors.append(_error("account", "unknown_account", "no such account"))
        if e.symbol:
            errors.append(_error("symbol", "unknown_symbol", "no such instrument"))
        raise InvalidSignal(errors) from e


def _error(name: str, code: str, detail: str) -> dict[str, str]:
    return {"field": name, "code": code, "detail": detail}


def _stored(seen: Situation, body_hash: str) -> Outcome:
    if seen.stored_hash != body_hash:
        raise IdempotencyConflict
    if seen.stored_status is None or seen.stored_answer is None:
        raise ValueError("a stored signal without its answer")
    return Outcome(
        seen.stored_status, seen.stored_answer, replayed=True, order_id=seen.stored_order
    )


def _text(body: dict[str, Any]) -> str:
    """Return the body's one spelling; numbers that JSON would round are kept as text."""
    return canonical(json.loads(json.dumps(body, default=str)))
