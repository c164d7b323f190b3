"""The legs of a group: what each names and asks, its stage, and what the whole can lose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers import quotes
from brokers.contract import OrderType, Side
from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.symbols import Right
from brokers.models import Quote
from orders.group_states import GroupType, OnLegFailure
from orders.groups import shapes
from orders.groups.shapes import ShapeLeg
from orders.intake.requests import InvalidSignal, open_case
from orders.judging.case import Case, OrderSpec, Proposed
from orders.judging.situation import References
from orders.models import ApiClient
from portfolio.payoff import Leg, MixedExpiries, Payoff, payoff
from risk.facts import GroupRisk


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
class ProposedLeg:
    """A leg as the order it asks for, with its number, its stage, and how the client put it."""

    number: int
    wanted: LegRequest
    case: Case
    stage: int


def read(
    request: GroupRequest, *, client: ApiClient, now: datetime
) -> tuple[list[ProposedLeg], Payoff | None]:
    """Return the legs in the order of their stages, and what the whole can make and lose.

    :raises InvalidSignal: no such account or symbol, or the legs are no such group
    """
    cases = _cases(request, client, now=now)
    shape = [_shape(leg, c.references) for leg, c in zip(request.legs, cases, strict=True)]
    if (wrong := shapes.problem(request.type, shape)) is not None:
        raise InvalidSignal([{"field": "legs", "code": "invalid_shape", "detail": wrong}])
    expected = _expected(request, [case.references for case in cases])
    stages = shapes.stages([leg.side for leg in request.legs])
    legs = [
        ProposedLeg(
            number=number,
            wanted=wanted,
            case=replace(case, proposed=replace(case.proposed, group=_risk(expected))),
            stage=stages[number],
        )
        for number, (wanted, case) in enumerate(zip(request.legs, cases, strict=True))
    ]
    legs.sort(key=lambda leg: leg.stage)
    return legs, expected


def _cases(request: GroupRequest, client: ApiClient, *, now: datetime) -> list[Case]:
    """Read what the legs name.

    :raises InvalidSignal: naming the leg
    """
    cases, errors = [], []
    for number, leg in enumerate(request.legs):
        spec = OrderSpec(client=client.name, leg=number, correlation_id=request.correlation_id)
        try:
            cases.append(open_case(_proposed(request, leg, client), spec, now=now))
        except InvalidSignal as e:
            for error in e.errors:
                of_leg = error["field"] == "symbol"
                name = f"legs.{number}.symbol" if of_leg else error["field"]
                errors.append(error | {"field": name})
    if errors:
        raise InvalidSignal(errors)
    return cases


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


def _proposed(request: GroupRequest, leg: LegRequest, client: ApiClient) -> Proposed:
    return Proposed(
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
    )


def _risk(expected: Payoff | None) -> GroupRisk:
    if expected is None:
        return GroupRisk(max_loss=None)
    return GroupRisk(max_loss=expected.max_loss, unbounded=expected.max_loss is None)
