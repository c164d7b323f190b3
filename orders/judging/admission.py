"""From a case to its verdict, and to the order that it admits, whoever asked for it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from execution_site.floor.events import EventType, record_event
from orders.judging import gather
from orders.judging.case import Case, Judged
from orders.judging.identity import client_order_id
from orders.judging.situation import Situation
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Order, OrderGroup, Origin
from orders.payloads import order_json
from portfolio.models import Position
from risk import gate, trade_counts
from risk.checks.order import worst_price
from risk.facts import Facts
from risk.gate import BUILD, Verdict
from risk.models import RiskDecision


def judge(case: Case, situation: Situation) -> Judged:
    """Judge a case by the state it meets: every check that applies."""
    facts = gather.facts_for(case, situation)
    return Judged(case=case, situation=situation, facts=facts, verdict=gate.judge(facts))


def new_order(judged: Judged, *, signal_id: int | None = None) -> Order:
    """Return the order a verdict admits, unsaved, due at once."""
    case, facts = judged.case, judged.facts
    asked, spec, known = case.proposed, case.spec, case.references
    return Order(
        pk=known.order_id,
        signal_id=signal_id,
        decision_id=known.decision_id,
        origin=asked.origin,
        client_order_id=client_order_id(
            installation=judged.situation.installation,
            client=spec.client,
            account=asked.account,
            strategy=asked.strategy,
            signal_id=asked.key,
            leg=spec.leg,
        ),
        connection_id=known.connection_id,
        strategy=asked.strategy,
        instrument_id=known.instrument_id,
        side=facts.side.value,
        order_type=asked.order_type.value,
        time_in_force=spec.time_in_force.value,
        quantity=facts.quantity,
        limit_price=facts.limit_price,
        stop_price=facts.stop_price,
        reserved_price=reserved_price(facts),
        expires_at=spec.expires_at,
        post_only=spec.post_only,
        reduce_only=facts.reduce_only,
        status=OrderStatus.PENDING.value,
        pending_action=PendingAction.NONE.value,
        reference_price=spec.reference_price,
        correlation_id=spec.correlation_id,
        approved_by=asked.approved_by or "",
        trading_date=case.day,
        created_at=case.now,
        updated_at=case.now,
        due_at=case.now,
        # on the wall's clock, also where the signal's own is a replayed one
        send_before=case.now + facts.good_for if asked.origin == Origin.SIGNAL else None,
    )


def reserved_price(facts: Facts) -> Decimal | None:
    """Return the price at which the order counts against limits while it works."""
    price = worst_price(facts)
    return None if price is None else round(price, 10)


def new_decision(judged: Judged) -> RiskDecision:
    """Return the verdict as it is stored, unsaved."""
    return RiskDecision(
        pk=judged.case.references.decision_id,
        status=judged.verdict.status.value,
        checks=[check.as_json() for check in judged.verdict.checks],
        inputs=judged.facts.as_json(),
        build=BUILD,
        decided_at=judged.case.now,
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict, the order that it admits, and in words why it admits none."""

    verdict: Verdict
    decision: RiskDecision
    order: Order | None

    @property
    def refusal(self) -> str:
        """Return what each check that refused said."""
        failed = [check for check in self.verdict.checks if check.status != "PASSED"]
        return "; ".join(f"{check.name}: {check.detail}" for check in failed)


def decide(
    case: Case,
    situation: Situation,
    *,
    signal_id: int | None = None,
    group: OrderGroup | None = None,
    keeps_refusal: bool = True,
) -> Decided:
    """Judge an order that no signal's own transaction stores, and store verdict and order.

    `group` is whose leg it closes (`OrderSpec.closes_leg`). Without `keeps_refusal` a verdict that
    refuses is not stored: what is tried again every other second would fill the log.
    """
    judged = judge(case, situation)
    decision = new_decision(judged)
    if judged.verdict.approved or keeps_refusal:
        decision.save(force_insert=True)
    if not judged.verdict.approved:
        return Decided(judged.verdict, decision, None)
    order = new_order(judged, signal_id=signal_id)
    order.group, order.leg = group, case.spec.closes_leg
    admit(order, case)
    return Decided(judged.verdict, decision, order)


def admit(order: Order, case: Case) -> None:
    """Store an order that no signal's own transaction stores, with its position and its event."""
    names: dict[str, Any] = {
        "connection_id": order.connection_id,
        "strategy": order.strategy,
        "instrument_id": order.instrument_id,
    }
    Position.objects.get_or_create(**names, defaults={"updated_at": case.now})
    order.save(force_insert=True)
    trade_counts.count_trade(order.connection_id, order.strategy, order.trading_date, by=1)
    account = case.proposed.account
    shown = order_json(order, account=account, symbol=case.proposed.symbol)
    record_event(EventType.ORDER, shown, account=account, at=case.now)
