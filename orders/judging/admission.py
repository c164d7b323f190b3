"""From a case to its verdict, and to the order that it admits, whoever asked for it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from execution_site.floor.events import EventType, record_event
from orders.judging import gather
from orders.judging.case import Case, OrderSpec
from orders.judging.identity import client_order_id
from orders.judging.situation import Situation
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import Order, OrderGroup, Origin
from orders.payloads import order_json
from portfolio.models import Position
from risk import trade_counts
from risk.checks.order import worst_price
from risk.facts import Facts
from risk.gate import BUILD, Verdict, judge
from risk.models import RiskDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A case with the state it met, its facts and verdict, and the order that it admits, if any.

    Decision and order are unsaved until somebody stores them.
    """

    case: Case
    situation: Situation
    facts: Facts
    verdict: Verdict
    decision: RiskDecision
    order: Order | None

    @property
    def refusal(self) -> str:
        """Return what each check that refused said."""
        failed = [check for check in self.verdict.checks if check.status != "PASSED"]
        return "; ".join(f"{check.name}: {check.detail}" for check in failed)


def decide(case: Case, situation: Situation, *, signal_id: int | None = None) -> Decided:
    """Judge a case by the state it meets: every check that applies. Nothing is stored."""
    facts = gather.facts_for(case, situation)
    verdict = judge(facts)
    return Decided(
        case=case,
        situation=situation,
        facts=facts,
        verdict=verdict,
        decision=_decision(case, facts, verdict),
        order=_order(case, case.spec, situation, facts, signal_id)
        if case.spec is not None and verdict.approved
        else None,
    )


def store(
    decided: Decided, *, group: OrderGroup | None = None, keeps_refusal: bool = True
) -> Decided:
    """Store verdict and order where no signal's own statement does.

    `group` is whose leg the order closes (`OrderSpec.closes_leg`). Without `keeps_refusal` a
    verdict that refuses is not stored: what is tried again every other second would fill the log.
    """
    if decided.verdict.approved or keeps_refusal:
        decided.decision.save(force_insert=True)
    if decided.order is not None and decided.case.spec is not None:
        decided.order.group, decided.order.leg = group, decided.case.spec.closes_leg
        admit(decided.order, decided.case)
    return decided


def _order(
    case: Case, spec: OrderSpec, situation: Situation, facts: Facts, signal_id: int | None
) -> Order:
    """Return the order that is admitted, unsaved, due at once."""
    asked, known = case.proposed, case.references
    return Order(
        pk=known.order_id,
        signal_id=signal_id,
        decision_id=known.decision_id,
        origin=asked.origin,
        client_order_id=client_order_id(
            installation=situation.installation,
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


def _decision(case: Case, facts: Facts, verdict: Verdict) -> RiskDecision:
    return RiskDecision(
        pk=case.references.decision_id,
        status=verdict.status.value,
        checks=[check.as_json() for check in verdict.checks],
        inputs=facts.as_json(),
        build=BUILD,
        decided_at=case.now,
    )


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
