"""Modifying an order: judged where it widens; done at once before any send, else by its venue.

What raises the quantity or worsens a price passes the gate as a new order would; what narrows
passes even where the kill switch is engaged, as a cancel does. The order keeps its terms until its
venue says that it has others (orders/booking/terms.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction

from brokers.contract import OrderTerms, OrderType, Side
from execution_site.floor import audit, locks
from execution_site.rest.http import sentence
from execution_site.rest.idempotency import once
from orders import hints, order_state
from orders.booking.terms import apply_terms, terms_of, widens
from orders.judging import gather
from orders.judging.admission import Decided, decide, reserved_price
from orders.judging.case import Case, Proposed
from orders.lifecycle import AT_VENUE, OPEN, OrderStatus, PendingAction
from orders.models import Order, Replacement
from orders.models.replacement import ReplacementStatus
from portfolio.models import Position
from risk.facts import Change, Facts
from risk.gate import Verdict
from risk.limits import Metric

PRICED = {
    "limit_price": {OrderType.LIMIT, OrderType.STOP_LIMIT},
    "stop_price": {OrderType.STOP, OrderType.STOP_LIMIT},
}


class NotModifiable(Exception):
    """The order cannot be modified now. `code` is stable."""

    code = "order_not_modifiable"


class VersionConflict(Exception):
    """The order has changed since the client read it."""


class InvalidTerms(Exception):
    """The new terms make no sense for this order. `errors` name the fields."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(sentence(errors))
        self.errors = errors


class ReplacementRefused(Exception):
    """Risk refused the new terms."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("refused by risk")
        self.verdict = verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a client wants changed; None leaves a term as it is."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


def version(order: Order) -> str:
    """Return the order's version, as an entity tag."""
    return f'"{order.pk}-{int(order.updated_at.timestamp() * 1_000_000)}"'


def request_replace(
    order_id: int,
    changes: Changes,
    *,
    actor: str,
    now: datetime,
    expected: Collection[str] | None = None,
) -> Order:
    """Give an order other terms: at once before any send, else by asking its venue.

    `now` is the wall's time; `expected` the versions of which the order must have one.

    :raises NotModifiable: it has ended, or is on its way, or another change of it is
    :raises VersionConflict: it has changed
    :raises InvalidTerms: naming the fields
    :raises ReplacementRefused: with the verdict, which is stored
    """
    refused: Verdict | None = None
    with once():
        order, case = _locked(order_id, now=now)
        if expected is not None and version(order) not in expected:
            raise VersionConflict(f"the order is now {version(order)}")
        _must_be_modifiable(order)
        was = terms_of(order)
        wanted = _wanted(order, changes)
        widening = widens(was, wanted, Side(order.side))
        decided = _decide(replace(case, proposed=_proposed(order, wanted)))
        verdict, facts, decision = decided.verdict, decided.facts, decided.decision
        decision.save(force_insert=True)
        row = Replacement(
            order=order,
            quantity=wanted.quantity,
            limit_price=wanted.limit_price,
            stop_price=wanted.stop_price,
            widens=widening,
            decision=decision,
            actor=actor,
            requested_at=now,
            status=ReplacementStatus.WAITING,
            due_at=now,
        )
        audit.record(
            "order_modify",
            actor=actor,
            reason="requested" if verdict.approved else "refused by risk",
            at=now,
            before=_terms_json(was),
            after=_terms_json(wanted),
            object_id=str(order.pk),
        )
        if not verdict.approved:
            row.status, row.due_at, refused = ReplacementStatus.REFUSED, None, verdict
            row.save()
        elif order.status == OrderStatus.PENDING:
            row.status, row.due_at = ReplacementStatus.DONE, None
            row.save()
            apply_terms(order, wanted)
            order.reserved_price = reserved_price(facts)
            order_state.save(order, now=now, fields=(*TERM_FIELDS, "reserved_price"))
        else:
            row.save()
            order.pending_action = PendingAction.REPLACE.value
            _reserve(order, wanted, facts)
            order_state.save(order, now=now, fields=("reserved_price", "reserved_quantity"))
            transaction.on_commit(partial(hints.transmit, order.connection.name), robust=True)
    if refused is not None:
        raise ReplacementRefused(refused)
    return order


def _reserve(order: Order, wanted: OrderTerms, facts: Facts) -> None:
    """Count the order at the larger of its old and its new terms until the venue has spoken."""
    order.reserved_quantity = max(order.quantity, wanted.quantity)
    prices = (order.reserved_price, reserved_price(facts))
    order.reserved_price = max((p for p in prices if p is not None), default=None)


TERM_FIELDS = ("quantity", "limit_price", "stop_price")


def _locked(order_id: int, *, now: datetime) -> tuple[Order, Case]:
    """Lock all that judging other terms of the order rests on, and the order."""
    named = Order.objects.select_related("connection", "instrument").get(pk=order_id)
    proposed = _proposed(named, terms_of(named))
    (case,) = gather.lock([gather.open_case(proposed, None, now=now)])
    locks.rows(Order.objects.filter(pk=order_id))
    order = Order.objects.select_related("connection", "instrument").get(pk=order_id)
    if order.reduce_only:
        locks.rows(
            Position.objects.filter(
                connection=order.connection_id,
                strategy=order.strategy,
                instrument=order.instrument_id,
            )
        )
    return order, case


def _must_be_modifiable(order: Order) -> None:
    if order.status not in {OrderStatus.PENDING, *AT_VENUE}:
        ended = OrderStatus(order.status) not in OPEN
        what = f"the order is {order.status}"
        raise NotModifiable(what if ended else f"{what}: ask again when it works")
    if order.pending_action != PendingAction.NONE:
        raise NotModifiable(f"the order has a {order.pending_action} on its way")


def _wanted(order: Order, changes: Changes) -> OrderTerms:
    """Return the whole terms the order shall have."""
    errors = []
    kind = OrderType(order.order_type)
    for name, kinds in PRICED.items():
        price = getattr(changes, name)
        if price is not None and kind not in kinds:
            errors.append(_error(name, "invalid", f"{kind} has no {name}"))
        if price is not None and price <= 0:
            errors.append(_error(name, "invalid", "the price must be positive"))
    if changes.quantity is not None and changes.quantity <= order.traded_quantity:
        filled = f"{order.traded_quantity.normalize():f} are filled already"
        errors.append(_error("quantity", "invalid", f"it must be more: {filled}"))
    given = {n: v for n in TERM_FIELDS if (v := getattr(changes, n)) is not None}
    wanted = replace(terms_of(order), **given)
    if not errors and wanted == terms_of(order):
        errors.append(_error("", "nothing_changes", "the order has these terms already"))
    if errors:
        raise InvalidTerms(errors)
    return wanted


def _proposed(order: Order, wanted: OrderTerms) -> Proposed:
    """Return the order as it shall be; that it was approved by a person it keeps."""
    wider = widens(terms_of(order), wanted, Side(order.side))
    return Proposed(
        account=order.connection.name,
        strategy=order.strategy,
        symbol=order.instrument.symbol,
        side=Side(order.side),
        quantity=wanted.quantity,
        order_type=OrderType(order.order_type),
        limit_price=wanted.limit_price,
        stop_price=wanted.stop_price,
        reduce_only=order.reduce_only,
        origin=order.origin,
        approved_by=order.approved_by or None,
        change=Change.WIDENS if wider else Change.NARROWS,
        excluding=order.pk,
        filled=order.traded_quantity,
    )


def _decide(case: Case) -> Decided:
    """Judge the order as it shall be; what it takes itself is not counted twice."""
    situation = gather.read(case)
    limits = tuple(
        replace(limit, used=max(limit.used - 1, Decimal(0)))
        if limit.metric is Metric.DAILY_TRADES and limit.used is not None
        else limit
        for limit in situation.limits
    )
    return decide(case, replace(situation, limits=limits))


def _terms_json(terms: OrderTerms) -> dict[str, Any]:
    return {
        name: None if (value := getattr(terms, name)) is None else f"{value.normalize():f}"
        for name in TERM_FIELDS
    }


def _error(field: str, code: str, detail: str) -> dict[str, str]:
    return {"field": field, "code": code, "detail": detail}
