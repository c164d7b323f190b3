"""Unwinding through outages: it goes on until nothing is held, ever more slowly, and is told of."""

import importlib
import itertools
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from brokers import registry
from brokers.contract import BrokerUnavailable, OrderRejected, Side
from execution_site.floor.events import Event, EventType
from orders.group_states import GroupType
from orders.groups import advance, view
from orders.intake import submit_group
from orders.intake.group_legs import GroupRequest, LegRequest
from orders.models import Order, OrderGroup, Origin
from orders.reports.agreement import differences
from orders.sending import submission
from portfolio.models import Position
from risk import control
from risk.facts import KillLevel
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol

_ids = itertools.count()
SPREAD = ((90, "PE", Side.BUY), (95, "PE", Side.SELL))


@pytest.fixture
def clock(monkeypatch):
    """The wall's clock, moved on by the test: `clock.at`."""
    held = SimpleNamespace(at=datetime.now(UTC))
    monkeypatch.setattr(timezone, "now", lambda: held.at)
    return held


@pytest.fixture
def spread(account, trader, valkey, clock):
    """A spread that is filled."""
    option_market.make()
    request = GroupRequest(
        signal_id=f"g{next(_ids)}",
        strategy="spread",
        account="paper",
        type=GroupType.SPREAD,
        legs=[
            LegRequest(symbol=symbol(strike, right), side=side, quantity=Decimal(10))
            for strike, right, side in SPREAD
        ],
        body={},
    )
    submit_group.submit_group(request, client=trader, now=clock.at)
    run(clock, seconds=5)
    assert only_group().status == "FILLED"


def run(clock, *, seconds, pace=1):
    """Let workers look at all there is for so long, a round each `pace` seconds."""
    for _ in range(0, seconds, pace):
        clock.at += timedelta(seconds=pace)
        option_market.quote(at=clock.at)
        for group_id in OrderGroup.objects.values_list("pk", flat=True):
            advance.advance(group_id, now=clock.at)
        for order_id in Order.objects.due(now=clock.at).values_list("pk", flat=True):
            submission.transmit(order_id, now=clock.at)


def only_group():
    return OrderGroup.objects.get()


def alerts():
    told = Event.objects.filter(type=EventType.GROUP).exclude(data__alert=None).order_by("pk")
    return list(dict.fromkeys(told.values_list("data__alert", flat=True)))


def away(monkeypatch, error):
    """Have the venue answer every order with this error, until the patch is undone."""

    def refuse(grant):
        raise error

    monkeypatch.setattr(registry.adapter_for("paper"), "submit", refuse)


@pytest.mark.parametrize("error", [OrderRejected("closed"), BrokerUnavailable("away")])
def test_an_unwinding_outlasts_an_outage(spread, clock, caplog, error):
    advance.request_exit(only_group().pk, reason="out", now=clock.at)
    with (
        pytest.MonkeyPatch.context() as patch,
        caplog.at_level(logging.ERROR, "orders.groups.advance"),
    ):
        away(patch, error)
        run(clock, seconds=600, pace=10)

    group = only_group()
    assert (group.status, group.escalations) == ("UNWINDING", 2)
    assert [text.split(":")[0] for text in alerts()] == [
        "not closed after 30 s",
        "not closed after 300 s",
    ]
    assert len([r for r in caplog.records if r.name == "orders.groups.advance"]) == 2
    tried = Order.objects.filter(origin=Origin.UNWIND).order_by("pk")
    assert tried.count() <= 6 + 600 / 60  # 1 + 2 + 4 + ... + 32 s, then one a minute
    advance.request_exit(group.pk, reason="now", now=clock.at)  # what is held can be asked to close
    run(clock, seconds=8)

    assert only_group().status == "CLOSED"
    assert view.describe(only_group())["alert"] is None
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    assert list(differences(["paper"])) == []


def test_an_unwinding_ends_by_itself_within_the_longest_pause_after_an_outage(spread, clock):
    advance.request_exit(only_group().pk, reason="out", now=clock.at)
    with pytest.MonkeyPatch.context() as patch:
        away(patch, OrderRejected("closed"))
        run(clock, seconds=200, pace=10)

    run(clock, seconds=80, pace=10)

    assert only_group().status == "CLOSED"


def test_what_the_gate_refuses_is_escalated_too_and_closed_once_it_may(spread, clock):
    advance.request_exit(only_group().pk, reason="out", now=clock.at)
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="drill", now=clock.at)

    run(clock, seconds=40, pace=5)

    assert len(alerts()) == 1
    assert "kill_switch" in alerts()[0]
    control.release_kill(scope=control.TradingScope(), actor="rita", reason="over", now=clock.at)
    run(clock, seconds=8)
    assert only_group().status == "CLOSED"


def test_closing_orders_keep_ids_of_their_own_however_many_they_are(spread, clock):
    group = only_group()
    advance.request_exit(group.pk, reason="out", now=clock.at)
    opened = group.orders.get(leg=1, origin=Origin.SIGNAL)
    numbers = range(1_000)  # as many as have been turned away before
    Order.objects.bulk_create(
        Order(
            group=group,
            leg=0,
            origin=Origin.UNWIND.value,
            client_order_id=f"gone{n}",
            connection=group.connection,
            strategy=group.strategy,
            instrument=opened.instrument,
            side="BUY",
            order_type="MARKET",
            time_in_force="DAY",
            quantity=10,
            status="REJECTED",
            trading_date=opened.trading_date,
            created_at=clock.at - timedelta(hours=1),
            updated_at=clock.at - timedelta(hours=1),
        )
        for n in numbers
    )

    run(clock, seconds=8)

    assert only_group().status == "CLOSED"


@pytest.mark.parametrize(
    "status",
    ["PARTIALLY_FILLED", "FILLED", "UNWINDING", "CLOSED", "CANCELLED", "REJECTED"],
)
def test_a_group_that_holds_something_can_be_closed_whatever_its_status(spread, clock, status):
    OrderGroup.objects.update(status=status, due_at=None, settled_at=clock.at)

    advance.request_exit(only_group().pk, reason="out", now=clock.at)

    run(clock, seconds=8)
    assert only_group().status == "CLOSED"
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}


@pytest.mark.parametrize("holds", [True, False])
def test_groups_that_had_been_given_up_come_back_to_life(spread, clock, holds):
    if not holds:
        advance.request_exit(only_group().pk, reason="out", now=clock.at)
        run(clock, seconds=8)
    OrderGroup.objects.update(
        status="FAILED", exit_reason="out", due_at=None, settled_at=clock.at, unwinding_at=None
    )

    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("orders.migrations.0012_unwinding").REVIVE)

    assert only_group().status == "UNWINDING"
    clock.at = max(clock.at, only_group().due_at)
    run(clock, seconds=8)
    assert only_group().status == "CLOSED"
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
