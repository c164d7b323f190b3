"""A group comes in: one durable transaction from its key to all its orders, or to none.

The legs are judged one after the other, each with those before it counted as working. Since what
works counts at its worst, the last leg is judged on the worst that can come of the whole, whichever
legs are filled. One leg refused refuses all.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from brokers import calendars, quotes
from brokers.contract import OrderType, Side, TimeInForce
from brokers.instruments import InstrumentKind, optional_text
from brokers.models import Quote
from brokers.symbols import Right
from execution_site import statements
from execution_site.events import EventType, canonical, record_event
from orders import admission, facts, group_shapes, hints
from orders.admission import Ticket, new_decision, new_order
from orders.clients import ApiClient
from orders.group_course import GroupStatus, OnLegFailure
from orders.group_payloads import group_json
from orders.group_shapes import GroupType, ShapeLeg
from orders.intake import Outcome, references
from orders.models import Action, Order, OrderGroup, Signal, SignalStatus
from orders.payloads import order_json, refusal_problem, signal_json
from orders.requests import IdempotencyConflict, InvalidSignal
from orders.situation import Asked, References, Situation
from portfolio.payoff import Leg, MixedExpiries, Payoff, payoff
from risk.facts import Facts, GroupRisk
from risk.gate import DecisionStatus, Verdict, judge

LOOK_AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRequest:
    """One leg as a client sent it."""

    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRequest:
    """A group as a client sent it, validated field by field. `body` is what it sent."""

    signal_id: str
    strategy: str
    account: str
    type: GroupType
    legs: Sequence[LegRequest]
    body: dict[str, Any]
    on_leg_failure: OnLegFailure = OnLegFailure.UNWIND
    leg_timeout_seconds: int = 30
    generated_at: datetime | None = None
    valid_until: datetime | None = None
    correlation_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    """A leg with what it names, the order it asks for, and its stage."""

    number: int
    wanted: LegRequest
    known: References
    asked: Asked
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A leg's verdict and what it was made of."""

    leg: _Leg
    seen: Situation
    facts: Facts
    verdict: Verdict


class _Refused(Exception):
    """Some leg was refused: whatever the others have written is undone."""


def submit_group(request: GroupRequest, *, client: ApiClient, now: datetime) -> Outcome:
    """Record a group, judge all its legs, and queue the orders of its first stage.

    A repeated key returns the stored answer. Refusal is a value, not an exception.

    :raises InvalidSignal: no such account or symbol, or the legs are no such group
    :raises IdempotencyConflict: the key was used with another body
    """
    knowns = _references(request, now=now)
    shape = [_shape(leg, known) for leg, known in zip(request.legs, knowns, strict=True)]
    if (wrong := group_shapes.problem(request.type, shape)) is not None:
        raise InvalidSignal([{"field": "legs", "code": "invalid_shape", "detail": wrong}])
    expected = _expected(request, knowns)
    stages = group_shapes.stages([leg.side for leg in request.legs])
    legs = [
        _Leg(
            number=number,
            wanted=wanted,
            known=known,
            asked=_asked(request, wanted, client, expected),
            stage=stages[number],
        )
        for number, (wanted, known) in enumerate(zip(request.legs, knowns, strict=True))
    ]
    legs.sort(key=lambda leg: leg.stage)
    first = legs[0].known
    day = calendars.trading_date(first.clock or now, roll=first.roll_time, zone=first.roll_zone)
    with transaction.atomic(durable=True):
        shared = facts.lock_all(knowns, [leg.asked for leg in legs], now=now)
        text = canonical(json.loads(json.dumps(request.body, default=str)))
        body_hash = hashlib.sha256(text.encode()).hexdigest()
        due: list[int] = []
        outcome = _stored(request, client, body_hash)
        if outcome is None:
            outcome, due = _record(
                request, client, legs, shared, expected, body_hash, now=now, day=day
            )
    statements.flush()
    for order_id in due:
        hints.transmit(order_id, request.account)
    return outcome


def _record(  # noqa: PLR0917 all it takes
    request: GroupRequest,
    client: ApiClient,
    legs: Sequence[_Leg],
    shared: list[tuple[str, bool]],
    expected: Payoff | None,
    body_hash: str,
    *,
    now: datetime,
    day: date,
) -> tuple[Outcome, list[int]]:
    """Judge every leg and write the group with its orders, or its refusal.

    :returns: the answer, and the orders that are due at once
    """
    signal = _signal(request, client, legs[0].known, body_hash=body_hash, now=now)
    wanted = _group(request, signal, expected, now=now)
    group: OrderGroup | None = wanted
    judged: list[_Judged] = []
    orders: list[Order] = []
    try:
        with transaction.atomic():
            signal.save(force_insert=True)
            wanted.save(force_insert=True)
            for leg in legs:
                judged.append(_judge(leg, shared, now=now, day=day))
                if judged[-1].verdict.approved:
                    orders.append(_admit(judged[-1], wanted, request, client, now=now, day=day))
            if any(not one.verdict.approved for one in judged):
                raise _Refused  # noqa: TRY301 the way out of the savepoint
    except _Refused:
        group, orders = None, []
        for one in judged:
            _decision(one, now=now).save(force_insert=True)
    signal.status = (SignalStatus.APPROVED if group else SignalStatus.REFUSED).value
    status, body = _answer(request, signal, group, orders, judged)
    signal.answer_status, signal.answer = status, body
    signal.save(force_insert=group is None)
    told = {"signal": json.loads(body)["signal"], "decision": json.loads(body)["decision"]}
    record_event(EventType.SIGNAL, told, account=request.account, at=now)
    if group is not None:
        shown = group_json(group, account=request.account, legs=())
        record_event(EventType.GROUP, shown, account=request.account, at=now)
    group_id = None if group is None else group.pk
    outcome = Outcome(status, body, replayed=False, order_id=None, group_id=group_id)
    return outcome, [order.pk for order in orders if order.due_at is not None]


def _judge(leg: _Leg, shared: list[tuple[str, bool]], *, now: datetime, day: date) -> _Judged:
    """Judge a leg on the book with the legs before it; nobody can be asked about a group."""
    seen = facts.read(leg.known, leg.asked, shared, now=now, day=day)
    judged = facts.judged(leg.known, seen, leg.asked, now=now)
    return _Judged(leg=leg, seen=seen, facts=judged, verdict=judge(judged))


def _admit(
    one: _Judged,
    group: OrderGroup,
    request: GroupRequest,
    client: ApiClient,
    *,
    now: datetime,
    day: date,
) -> Order:
    leg = one.leg
    _decision(one, now=now).save(force_insert=True)
    ticket = Ticket(
        account=request.account,
        strategy=request.strategy,
        client=client.name,
        key=request.signal_id,
        leg=leg.number,
        order_type=leg.wanted.order_type,
        time_in_force=TimeInForce.DAY,
        correlation_id=request.correlation_id,
    )
    order = new_order(ticket, leg.known, one.seen, one.facts, now=now, day=day)
    order.group, order.leg = group, leg.number
    if leg.stage:
        order.due_at = None  # until the stage before it is filled
    admission.admit(order, account=request.account, symbol=leg.wanted.symbol, now=now)
    return order


def _decision(one: _Judged, *, now: datetime) -> Any:
    return new_decision(one.leg.known, one.verdict, one.facts, now=now)


def _stored(request: GroupRequest, client: ApiClient, body_hash: str) -> Outcome | None:
    """Return the answer that the key was given before, or None.

    :raises IdempotencyConflict: with another body
    """
    held = Signal.objects.filter(
        client=client, strategy=request.strategy, signal_id=request.signal_id
    ).first()
    if held is None:
        return None
    if held.body_hash != body_hash:
        raise IdempotencyConflict
    group = getattr(held, "group", None)
    return Outcome(
        held.answer_status,
        held.answer,
        replayed=True,
        order_id=None,
        group_id=None if group is None else group.pk,
    )


def _answer(
    request: GroupRequest,
    signal: Signal,
    group: OrderGroup | None,
    orders: Sequence[Order],
    judged: Sequence[_Judged],
) -> tuple[int, str]:
    """Return the status and body that this key gets, now and ever after."""
    checks = [
        {"leg": one.leg.number, "symbol": one.leg.wanted.symbol} | check.as_json()
        for one in judged
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
        failing = [check for one in judged for check in one.verdict.checks]
        problem = refusal_problem(Verdict(status, failing))
        if not problem["errors"]:  # each would pass, but nobody can approve a group
            said = "in SUPERVISED mode groups are refused: a person approves single signals"
            problem["detail"] = f"system_mode: {said}"
            problem["errors"] = [{"field": "system_mode", "code": "system_mode", "detail": said}]
        return 422, json.dumps(problem | {"signal": shown, "decision": decision, "group": None})
    symbols = {one.leg.number: one.leg.wanted.symbol for one in judged}
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


def _signal(
    request: GroupRequest, client: ApiClient, known: References, *, body_hash: str, now: datetime
) -> Signal:
    return Signal(
        pk=known.signal_id,
        client=client,
        strategy=request.strategy,
        signal_id=request.signal_id,
        body_hash=body_hash,
        body=json.loads(json.dumps(request.body, default=str)),
        connection_id=known.connection_id,
        action=Action.GROUP.value,
        status=SignalStatus.APPROVED.value,
        generated_at=request.generated_at,
        received_at=now,
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


def payoff_json(found: Payoff | None) -> dict[str, Any] | None:
    """Return a payoff as clients see it; None where it cannot be told."""
    if found is None:
        return None
    return {
        "net_debit": optional_text(found.net_debit),
        "max_loss": optional_text(found.max_loss),
        "max_profit": optional_text(found.max_profit),
        "breakevens": [optional_text(price) for price in found.breakevens],
    }


def _references(request: GroupRequest, *, now: datetime) -> list[References]:
    """Read what the legs name.

    :raises InvalidSignal: naming the leg
    """
    knowns, errors = [], []
    for number, leg in enumerate(request.legs):
        try:
            knowns.append(references(request.account, leg.symbol, now=now))
        except InvalidSignal as e:
            for error in e.errors:
                of_leg = error["field"] == "symbol"
                name = f"legs.{number}.symbol" if of_leg else error["field"]
                errors.append(error | {"field": name})
    if errors:
        raise InvalidSignal(errors)
    return knowns


def _shape(leg: LegRequest, known: References) -> ShapeLeg:
    return ShapeLeg(
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        underlying=known.underlying,
        expires_at=known.expires_at,
        strike=known.strike,
        right=Right(known.right) if known.right else None,
    )


def _expected(request: GroupRequest, knowns: Sequence[References]) -> Payoff | None:
    """Return what the group costs, loses and makes at most at the limits, else at the touch."""
    quoted = quotes.latest([leg.symbol for leg in request.legs])
    legs = []
    for leg, known in zip(request.legs, knowns, strict=True):
        price = leg.limit_price or _touch(quoted.get(leg.symbol), leg.side)
        if price is None:
            return None
        legs.append(
            Leg(
                underlying=known.underlying,
                quantity=leg.quantity * leg.side.sign,
                multiplier=known.multiplier,
                price=price,
                sign=_sign(known),
                strike=known.strike,
                expiry=known.expires_at,
            )
        )
    try:
        return payoff(legs)
    except MixedExpiries:
        return None


def _sign(known: References) -> int:
    if known.kind != InstrumentKind.OPTION:
        return 0
    return 1 if known.right == Right.CALL else -1


def _touch(quote: Quote | None, side: Side) -> Decimal | None:
    if quote is None:
        return None
    return quote.ask if side is Side.BUY else quote.bid


def _asked(
    request: GroupRequest, leg: LegRequest, client: ApiClient, expected: Payoff | None
) -> Asked:
    return Asked(
        account=request.account,
        strategy=request.strategy,
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        order_type=leg.order_type,
        limit_price=leg.limit_price,
        generated_at=request.generated_at,
        valid_until=request.valid_until,
        client_id=client.pk,
        key=request.signal_id,
        group=GroupRisk(
            max_loss=None if expected is None else expected.max_loss,
            unbounded=expected is not None and expected.max_loss is None,
        ),
    )
