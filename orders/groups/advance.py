"""Groups on their way: each step is derived from rows, so a crash between two of them is no event.

A group is looked at when a leg of it changes, and every few seconds until it is settled. What it
does next is decided in orders/groups/course.py; here it is done, under the group's lock. Closing
orders go through the gate like any other. What the gate refuses (a kill, a quote that is missing)
is tried again every other second, what the venue refuses ever more slowly, and both without an end:
whatever holds something is closed in time, and people are alerted that it takes long.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile

from django.db import transaction
from django.db.models import F, Q, QuerySet

from brokers.contract import Side
from execution_site.floor import locks
from execution_site.floor.events import EventType, record_event
from execution_site.rest.idempotency import once
from orders import hints, order_state
from orders.group_states import FINAL, GroupStatus, OnLegFailure
from orders.groups import sharing
from orders.groups.course import LegState, Step, escalations, next_step
from orders.groups.payloads import group_json
from orders.groups.shapes import stages
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.judging.close_position import close_position
from orders.lifecycle import OPEN, TERMINAL, OrderStatus, PendingAction
from orders.models import Order, OrderGroup, Origin
from portfolio.models import Position

LOOK_AGAIN = timedelta(seconds=1)  # while it unwinds
LOOK_SOMETIMES = timedelta(seconds=5)  # while its legs work: each change of one gives a hint
TRY_AGAIN = timedelta(seconds=2)  # what the gate refused to close
LOOKED_BACK = timedelta(hours=1)  # how long a settled group is watched for late fills

logger = logging.getLogger(__name__)


class NotExitable(Exception):
    """There is nothing of the group to close. `code` is stable."""

    code = "group_not_exitable"


def due(*, now: datetime) -> list[int]:
    """Return the groups to be looked at: unsettled ones, and settled ones with later news.

    News is a leg's order that has changed, and anybody's trade in a position that the group holds.
    """
    late = Q(settled_at__gt=now - LOOKED_BACK, orders__updated_at__gt=F("settled_at"))
    traded = Q(pk__in=sharing.to_look_at())
    rows = OrderGroup.objects.filter(Q(due_at__lte=now) | late | traded).order_by("pk")
    return list(rows.values_list("pk", flat=True).distinct())


def advance(group_id: int, *, now: datetime) -> None:
    """Do the next step of a group. Safe to call twice, and at any time."""
    sharing.keep(group_id)
    with transaction.atomic(durable=True):
        group = _locked(group_id)
        legs = _legs(group)
        step = _next(group, legs, now=now)
        if step.cancel:
            _cancel(group, now=now)
        for number in step.release:
            _release(group, number, now=now)
        _write_standing(group, step, now=now)
    resting = {leg.number for leg in legs if leg.rests(now=now)}
    for number in step.close:
        if number not in resting:
            _close(group_id, number, now=now)


def request_exit(group_id: int, *, reason: str, now: datetime) -> None:
    """Close the whole of a group: what works is cancelled, what is filled is closed, now.

    Whatever its status, what holds something can be asked to close; asked again, it is tried again
    at once.

    :raises NotExitable: it has ended, and nothing of it is held or works
    """
    with once():
        group = _locked(group_id)
        alive = any(leg.held or leg.closing or not leg.ended for leg in _legs(group))
        if group.status in FINAL and not alive:
            raise NotExitable(f"the group is {group.status}")
        group.exit_reason = group.exit_reason or reason[:200] or "asked for"
        group.status = GroupStatus.UNWINDING.value
        group.due_at, group.settled_at = now, None
        _begin_unwinding(group, now=now)
        _save(group, now=now)
        transaction.on_commit(lambda: hints.advance_group(group_id), robust=True)


def _locked(group_id: int) -> OrderGroup:
    locks.rows(OrderGroup.objects.filter(pk=group_id))
    return OrderGroup.objects.select_related("connection").get(pk=group_id)


def _legs(group: OrderGroup) -> list[LegState]:
    """Return the legs as their orders are, and as they hold now: read later, so not behind them."""
    opened: dict[int, Order] = {}
    closings: defaultdict[int, list[Order]] = defaultdict(list)
    for order in group.orders.order_by("pk"):
        number = order.leg if order.leg is not None else -1
        if order.origin == Origin.SIGNAL:
            opened[number] = order
        else:
            closings[number].append(order)
    held = sharing.of_groups([group])
    in_order = sorted(opened.items())
    stage_of = stages([Side(order.side) for _, order in in_order])
    legs = []
    for (number, order), stage in zip(in_order, stage_of, strict=True):
        own, holds = closings[number], held[group.pk, order.instrument_id].quantity
        entered = Side(order.side)
        in_vain = _in_vain(own, since=group.unwinding_at)
        legs.append(
            LegState(
                number=number,
                side=entered.opposite if holds * entered.sign < 0 else entered,
                stage=stage,
                status=OrderStatus(order.status),
                waits=order.status == OrderStatus.PENDING and order.due_at is None,
                filled=order.filled_quantity,
                held=abs(holds),
                closing=any(one.status in OPEN for one in own),
                turned_away=len(in_vain),
                turned_away_at=in_vain[0].updated_at if in_vain else None,
            )
        )
    return legs


def _in_vain(closings: Sequence[Order], *, since: datetime | None) -> list[Order]:
    """Return the last closing orders in a row that have ended and closed nothing, newest first."""
    ended = [order for order in reversed(closings) if order.status in TERMINAL]
    return list(
        takewhile(
            lambda one: not one.filled_quantity and (since is None or one.created_at >= since),
            ended,
        )
    )


def _next(group: OrderGroup, legs: list[LegState], *, now: datetime) -> Step:
    """Return the next step; that it gives up, once it does, is kept with the reason."""
    short = [leg for leg in legs if leg.fell_short]
    whole = all(leg.status is OrderStatus.FILLED for leg in legs)
    if not group.failure and not group.exit_reason and not whole:
        if short:
            order = group.orders.get(leg=short[0].number, origin=Origin.SIGNAL)
            said = f": {order.status_reason}" if order.status_reason else ""
            group.failure = f"leg {short[0].number} {order.status}{said}"[:200]
        elif now >= group.deadline_at:
            group.failure = f"not filled within {group.leg_timeout_seconds} s"
    return next_step(
        legs,
        policy=OnLegFailure(group.on_leg_failure),
        giving_up=bool(group.failure),
        exiting=bool(group.exit_reason),
    )


def _cancel(group: OrderGroup, *, now: datetime) -> None:
    """Cancel every order of the group that opens a leg and still works."""
    working = group.orders.filter(
        origin=Origin.SIGNAL, status__in=OPEN, pending_action=PendingAction.NONE
    )
    ids = locks.rows(working)
    for order in Order.objects.filter(pk__in=ids).select_related("connection", "instrument"):
        if order.status not in TERMINAL and order.pending_action == PendingAction.NONE:
            order_state.cancel_locked(order, reason=f"group {group.pk}", now=now)


def _release(group: OrderGroup, number: int, *, now: datetime) -> None:
    """Make a leg's order due; from now on its stage has its time, and it may be sent that long."""
    group.deadline_at = now + timedelta(seconds=group.leg_timeout_seconds)
    waiting = group.orders.filter(
        leg=number, origin=Origin.SIGNAL, status=OrderStatus.PENDING, due_at=None
    )
    for order_id in locks.rows(waiting):
        if waiting.filter(pk=order_id).update(due_at=now, send_before=group.deadline_at):
            hint = partial(hints.transmit, group.connection.name)
            transaction.on_commit(hint, robust=True)


def _write_standing(group: OrderGroup, step: Step, *, now: datetime) -> None:
    """Write where the group stands, with its event where that has changed."""
    was = OrderGroup.objects.values_list("status", "failure", "alert").get(pk=group.pk)
    group.status = step.status.value
    group.due_at = None if step.settled else _look_next(group, now=now)
    group.settled_at = now if step.settled else None
    if step.settled:
        group.detail = group.alert = ""
        group.unwinding_at, group.escalations = None, 0
    elif step.status is GroupStatus.UNWINDING:
        if group.unwinding_at is None:
            _begin_unwinding(group, now=now)
        _escalate(group, now=now)
    _save(group, now=now, tell=was != (group.status, group.failure, group.alert))


def _begin_unwinding(group: OrderGroup, *, now: datetime) -> None:
    group.unwinding_at, group.escalations, group.alert = now, 0, ""


def _escalate(group: OrderGroup, *, now: datetime) -> None:
    """Alert people that the unwinding goes on, once for each time that it is due."""
    elapsed = now - (group.unwinding_at or now)
    if (due := escalations(elapsed)) <= group.escalations:
        return
    group.escalations = due
    said = f": {group.detail}" if group.detail else ""
    group.alert = f"not closed after {int(elapsed.total_seconds())} s{said}"[:200]
    logger.error("group %s: %s", group.pk, group.alert)


def _look_next(group: OrderGroup, *, now: datetime) -> datetime:
    """Return when to look again, should no hint come: when its legs' time is over."""
    if group.status == GroupStatus.UNWINDING or group.failure:
        return now + LOOK_AGAIN
    return min(now + LOOK_SOMETIMES, max(group.deadline_at, now + LOOK_AGAIN))


def _save(group: OrderGroup, *, now: datetime, tell: bool = True) -> None:
    group.updated_at = now
    group.save()
    if tell:
        account = group.connection.name
        shown = group_json(group, account=account, legs=())
        record_event(EventType.GROUP, shown, account=account, at=now)


def _close(group_id: int, number: int, *, now: datetime) -> None:
    """Close what a group holds of a leg by one order, through the gate, unless one works already.

    What other orders are closing of the strategy's position is left to them.
    """
    opened = Order.objects.select_related("connection", "instrument").get(
        group_id=group_id, leg=number, origin=Origin.SIGNAL
    )
    account = opened.connection.name
    spec = OrderSpec(client="engine")
    case = gather.open_case(_proposed(opened, number), spec, now=now)
    with transaction.atomic(durable=True):
        (case,) = gather.lock([case])
        group = _locked(group_id)
        locks.rows(_position_of(opened))
        leg = next(leg for leg in _legs(group) if leg.number == number)
        if not leg.held or leg.closing or leg.rests(now=now):
            return
        earlier = group.orders.filter(leg=number, origin=Origin.UNWIND).count()
        decided = close_position(
            replace(case, spec=replace(spec, leg=earlier, closes_leg=number)),
            side=leg.side.opposite,
            most=leg.held,
            group=group,
            keeps_refusal=False,
        )
        if decided is None:  # what they do not close is closed here
            _wait(group, f"leg {number} is being closed by other orders", now=now)
            return
        if decided.order is None:
            _wait(group, f"leg {number} cannot be closed yet: {decided.refusal}", now=now)
        elif group.detail:
            group.detail = ""
            _save(group, now=now)
    if decided.order is not None:
        hints.transmit(account)


def _proposed(opened: Order, number: int) -> Proposed:
    return Proposed(
        account=opened.connection.name,
        strategy=opened.strategy,
        symbol=opened.instrument.symbol,
        side=Side(opened.side).opposite,
        quantity=None,
        reduce_only=True,
        origin=Origin.UNWIND.value,
        key=f"group/{opened.group_id}/{number}",
    )


def _position_of(order: Order) -> QuerySet[Position]:
    return Position.objects.filter(
        connection=order.connection_id, strategy=order.strategy, instrument=order.instrument_id
    )


def _wait(group: OrderGroup, why: str, *, now: datetime) -> None:
    was, group.detail = group.detail, why[:200]
    group.due_at = now + TRY_AGAIN
    _save(group, now=now, tell=was != group.detail)
