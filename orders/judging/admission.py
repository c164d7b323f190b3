"""From a verdict that approves to the order it admits, whoever asked for it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from brokers.contract import OrderType, TimeInForce
from execution_site.floor.events import EventType, record_event
from orders.judging import gather
from orders.judging.identity import client_order_id
from orders.judging.situation import Asked, References, Situation
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
class Ticket:
    """What an order is, beyond the facts it was judged by.

    `client`, `key` and `leg` name what asked for it: with account and strategy they make its id.
    """

    account: str
    strategy: str
    client: str
    key: str
    leg: int = 0
    closes_leg: int | None = None
    origin: Origin = Origin.SIGNAL
    signal_id: int | None = None
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    expires_at: datetime | None = None
    post_only: bool = False
    reference_price: Decimal | None = None
    correlation_id: str = ""
    approved_by: str = ""


def new_order(
    ticket: Ticket,
    known: References,
    seen: Situation,
    judged: Facts,
    *,
    now: datetime,
    day: date,
) -> Order:
    """Return the order a verdict admits, unsaved, due at once."""
    return Order(
        pk=known.order_id,
        signal_id=ticket.signal_id,
        decision_id=known.decision_id,
        origin=ticket.origin.value,
        client_order_id=client_order_id(
            installation=seen.installation,
            client=ticket.client,
            account=ticket.account,
            strategy=ticket.strategy,
            signal_id=ticket.key,
            leg=ticket.leg,
        ),
        connection_id=known.connection_id,
        strategy=ticket.strategy,
        instrument_id=known.instrument_id,
        side=judged.side.value,
        order_type=ticket.order_type.value,
        time_in_force=ticket.time_in_force.value,
        quantity=judged.quantity,
        limit_price=judged.limit_price,
        stop_price=judged.stop_price,
        reserved_price=reserved_price(judged),
        expires_at=ticket.expires_at,
        post_only=ticket.post_only,
        reduce_only=judged.reduce_only,
        status=OrderStatus.PENDING.value,
        pending_action=PendingAction.NONE.value,
        reference_price=ticket.reference_price,
        correlation_id=ticket.correlation_id,
        approved_by=ticket.approved_by,
        trading_date=day,
        created_at=now,
        updated_at=now,
        due_at=now,
        # on the wall's clock, also where the signal's own is a replayed one
        send_before=now + judged.good_for if ticket.origin is Origin.SIGNAL else None,
    )


def reserved_price(judged: Facts) -> Decimal | None:
    """Return the price at which the order counts against limits while it works."""
    price = worst_price(judged)
    return None if price is None else round(price, 10)


def new_decision(
    known: References, verdict: Verdict, judged: Facts, *, now: datetime
) -> RiskDecision:
    """Return the verdict as it is stored, unsaved."""
    return RiskDecision(
        pk=known.decision_id,
        status=verdict.status.value,
        checks=[check.as_json() for check in verdict.checks],
        inputs=judged.as_json(),
        build=BUILD,
        decided_at=now,
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
    known: References,
    seen: Situation,
    asked: Asked,
    ticket: Ticket,
    *,
    now: datetime,
    day: date,
    group: OrderGroup | None = None,
    keeps_refusal: bool = True,
) -> Decided:
    """Judge an order that no signal's own transaction stores, and store verdict and order.

    `group` is whose leg it closes (`ticket.closes_leg`). Without `keeps_refusal` a verdict that
    refuses is not stored: what is tried again every other second would fill the log.
    """
    judged = gather.judged(known, seen, asked, now=now)
    verdict = judge(judged)
    decision = new_decision(known, verdict, judged, now=now)
    if verdict.approved or keeps_refusal:
        decision.save(force_insert=True)
    if not verdict.approved:
        return Decided(verdict, decision, None)
    order = new_order(ticket, known, seen, judged, now=now, day=day)
    order.group, order.leg = group, ticket.closes_leg
    admit(order, account=ticket.account, symbol=asked.symbol, now=now)
    return Decided(verdict, decision, order)


def admit(order: Order, *, account: str, symbol: str, now: datetime) -> None:
    """Store an order that no signal's own transaction stores, with its position and its event."""
    names: dict[str, Any] = {
        "connection_id": order.connection_id,
        "strategy": order.strategy,
        "instrument_id": order.instrument_id,
    }
    Position.objects.get_or_create(**names, defaults={"updated_at": now})
    order.save(force_insert=True)
    trade_counts.count_trade(order.connection_id, order.strategy, order.trading_date, by=1)
    shown = order_json(order, account=account, symbol=symbol)
    record_event(EventType.ORDER, shown, account=account, at=now)
