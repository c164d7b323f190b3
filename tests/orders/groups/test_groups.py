"""Groups: all legs or none, protective legs first, and on failure what the policy says."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connections

from brokers.contract import OrderRejected, Side
from brokers.models import Instrument
from execution_site.floor.events import Event, EventType
from orders.control import emergency
from orders.group_states import GroupType, OnLegFailure
from orders.groups import advance, view
from orders.intake import submit_group
from orders.intake.group_legs import GroupRequest, LegRequest
from orders.intake.requests import IdempotencyConflict, InvalidSignal, SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action, Order, OrderGroup, Origin, Signal
from orders.reports.agreement import differences
from orders.sending import submission, venue_queries
from portfolio.models import Position
from risk import control
from risk.facts import KillLevel
from risk.models import RiskDecision, RiskLimit
from tests.clock import now
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol

_ids = itertools.count()
CONDOR = ((90, "PE", "BUY"), (95, "PE", "SELL"), (105, "CE", "SELL"), (110, "CE", "BUY"))


@pytest.fixture
def market(account, trader, valkey):
    option_market.make()


@pytest.fixture
def submit(market, trader):
    """Submit a group: `submit((90, "PE", "BUY"), ..., type="SPREAD")`."""

    def send(*legs, type="IRON_CONDOR", quantity=10, key=None, **values):
        wanted = [
            LegRequest(symbol=symbol(strike, right), side=Side(side), quantity=Decimal(quantity))
            for strike, right, side in (legs or CONDOR)
        ]
        request = GroupRequest(
            signal_id=key or f"g{next(_ids)}",
            strategy="condor",
            account="paper",
            type=GroupType(type),
            legs=wanted,
            body={"legs": [str(leg) for leg in wanted]},
            **values,
        )
        return submit_group.submit_group(request, client=trader, now=now())

    return send


def work(rounds=6):
    """Send what is due, ask about what is in doubt, and do every group's next step."""
    option_market.quote()
    for _ in range(rounds):
        for group_id in OrderGroup.objects.values_list("pk", flat=True):
            advance.advance(group_id, now=now())
        for order_id in Order.objects.due(now=now()).values_list("pk", flat=True):
            submission.transmit(order_id, now=now())
        for order_id in Order.objects.filter(pending_action="CANCEL").values_list("pk", flat=True):
            Order.objects.filter(pk=order_id).update(cancel_due_at=now())
            venue_queries.cancel(order_id, now=now())


def only_group():
    return OrderGroup.objects.get()


def agree():
    assert list(differences(["paper"])) == []


def test_an_iron_condor_is_one_answer_and_is_filled_leg_by_leg(submit):
    outcome = submit()

    assert outcome.status == 202
    opened = list(Order.objects.order_by("leg"))
    assert [order.due_at is not None for order in opened] == [True, False, False, True]
    work()
    group = only_group()
    assert group.status == "FILLED"
    sent = Order.objects.order_by("claimed_at").values_list("side", flat=True)
    assert list(sent) == ["BUY", "BUY", "SELL", "SELL"]
    agree()


def test_group_pnl_is_the_sum_of_its_legs_and_of_the_strategys_positions(submit):
    submit()
    work()
    option_market.quote(103.0)

    shown = view.describe(only_group())

    legs = shown["pnl"]["legs"]
    unrealized = sum(Decimal(leg["unrealized_pnl"]) for leg in legs)
    assert Decimal(shown["pnl"]["unrealized_pnl"]) == unrealized != 0
    held = {p.instrument.symbol: p for p in Position.objects.select_related("instrument")}
    assert {leg["symbol"]: Decimal(leg["quantity"]) for leg in legs} == {
        name: position.quantity for name, position in held.items()
    }
    commission = sum(position.commission for position in held.values())
    assert Decimal(shown["pnl"]["commission"]) == commission > 0
    assert shown["greeks"]["gamma"] < 0 < shown["greeks"]["theta"]
    assert Decimal(shown["held"]["net_debit"]) < 0
    assert len(shown["held"]["breakevens"]) == 2
    assert Decimal(shown["held"]["max_loss"]) == 50 + Decimal(shown["held"]["net_debit"])
    assert shown["held"] == shown["actual"] == shown["expected"]


@pytest.mark.parametrize("leg", range(4))
def test_a_leg_that_is_rejected_unwinds_the_others(submit, monkeypatch, leg):
    submit()
    refused = symbol(*CONDOR[leg][:2])
    send = submission.registry.adapter_for("paper").submit

    def reject(grant):
        if grant.request.symbol == refused:
            raise OrderRejected("margin")
        return send(grant)

    monkeypatch.setattr(submission.registry.adapter_for("paper"), "submit", reject)

    work(10)

    group = only_group()
    assert (group.status, group.failure) == ("CLOSED", f"leg {leg} REJECTED: margin")
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    told = Event.objects.filter(type=EventType.GROUP).order_by("pk")
    assert [event.data["status"] for event in told][-2:] == ["UNWINDING", "CLOSED"]
    assert {o.origin for o in Order.objects.filter(reduce_only=True)} == {"UNWIND"}
    logged = Event.objects.filter(type=EventType.ORDER).values_list("data__id", flat=True)
    assert set(logged) == set(Order.objects.values_list("pk", flat=True))
    agree()


def test_keep_leaves_what_is_filled(submit, monkeypatch):
    submit(on_leg_failure=OnLegFailure.KEEP)
    adapter = submission.registry.adapter_for("paper")
    send = adapter.submit

    def reject(grant):
        if grant.request.side is Side.SELL:
            raise OrderRejected("margin")
        return send(grant)

    monkeypatch.setattr(adapter, "submit", reject)

    work(10)

    assert only_group().status == "PARTIALLY_FILLED"
    assert only_group().due_at is None
    assert not Order.objects.filter(origin=Origin.UNWIND).exists()
    assert sorted(Position.objects.values_list("quantity", flat=True)) == [0, 0, 10, 10]


def test_a_leg_that_is_not_filled_in_time_is_cancelled_and_the_rest_unwound(submit):
    submit(leg_timeout_seconds=30)
    Order.objects.filter(leg=1).update(
        order_type="LIMIT", limit_price=Decimal("9.99"), time_in_force="GTC"
    )
    work()
    assert only_group().status == "PARTIALLY_FILLED"

    OrderGroup.objects.update(deadline_at=now() - timedelta(seconds=1))
    work(10)

    assert only_group().status == "CLOSED"
    assert only_group().failure == "not filled within 30 s"
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    agree()


def test_nothing_filled_is_rejected_or_cancelled_and_needs_no_unwinding(submit):
    submit()
    advance.request_exit(only_group().pk, reason="changed my mind", now=now())

    work()

    assert only_group().status == "CANCELLED"
    assert set(Order.objects.values_list("status", flat=True)) == {"CANCELLED"}


def test_one_signal_closes_the_whole_group_short_legs_first(submit):
    submit()
    work()

    advance.request_exit(only_group().pk, reason="profit taken", now=now())
    work(10)

    assert only_group().status == "CLOSED"
    closing = Order.objects.filter(origin=Origin.UNWIND).order_by("claimed_at")
    assert [order.side for order in closing] == ["BUY", "BUY", "SELL", "SELL"]
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    with pytest.raises(advance.NotExitable):
        advance.request_exit(only_group().pk, reason="again", now=now())
    agree()


def test_a_halted_system_unwinds_once_it_is_released(submit):
    submit()
    work()
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="drill", now=now())
    advance.request_exit(only_group().pk, reason="out", now=now())

    work()
    assert only_group().status == "UNWINDING"
    assert "kill_switch" in only_group().detail

    control.release_kill(scope=control.TradingScope(), actor="rita", reason="over", now=now())
    work(10)
    assert only_group().status == "CLOSED"


def test_what_was_closed_elsewhere_is_not_closed_twice(submit, trader):
    submit((90, "PE", "BUY"), (95, "PE", "SELL"), type="SPREAD")
    work()
    exit_signal = SignalRequest(
        signal_id="x",
        strategy="condor",
        account="paper",
        symbol=symbol(95, "PE"),
        action=Action.EXIT,
        body={},
    )
    submit_signal(exit_signal, client=trader, now=now())
    work()
    assert only_group().status == "FILLED"

    advance.request_exit(only_group().pk, reason="out", now=now())
    work(10)

    assert only_group().status == "CLOSED"
    closing = Order.objects.get(origin=Origin.UNWIND)
    assert (closing.leg, closing.side) == (0, "SELL")
    agree()


def test_what_another_order_is_closing_is_waited_for_and_closed_if_that_one_does_not(
    submit, trader
):
    submit((90, "PE", "BUY"), (95, "PE", "SELL"), type="SPREAD")
    work()
    exit_signal = SignalRequest(
        signal_id="x",
        strategy="condor",
        account="paper",
        symbol=symbol(95, "PE"),
        action=Action.EXIT,
        body={},
    )
    other = submit_signal(exit_signal, client=trader, now=now()).order_id

    advance.request_exit(only_group().pk, reason="out", now=now())
    advance.advance(only_group().pk, now=now())

    assert only_group().status == "UNWINDING"
    assert only_group().detail == "leg 1 is being closed by other orders"
    emergency.request_cancel(other, actor="rita", now=now())
    work(10)
    assert only_group().status == "CLOSED"
    assert set(Position.objects.values_list("quantity", flat=True)) == {0}
    agree()


def test_one_leg_refused_refuses_all_and_says_which(submit):
    Instrument.objects.filter(symbol=symbol(105, "CE")).update(is_tradable=False)

    outcome = submit()

    assert outcome.status == 422
    assert '"leg": 2' in outcome.body
    assert "symbol_tradable" in outcome.body
    assert not Order.objects.exists()
    assert not OrderGroup.objects.exists()
    assert Signal.objects.get().status == "REFUSED"
    assert RiskDecision.objects.count() == 4


@pytest.mark.parametrize(("limit", "status"), [("26.20", 202), ("26.19", 422)])
def test_the_worst_loss_of_the_whole_is_limited(submit, limit, status):
    RiskLimit.objects.create(metric="max_group_loss", value=Decimal(limit), strategy="condor")

    outcome = submit()

    assert outcome.status == status, outcome.body


def test_a_loss_without_bound_is_refused_where_it_is_limited(submit):
    RiskLimit.objects.create(metric="max_group_loss", value=10**9)

    outcome = submit((100, "CE", "SELL"), (100, "PE", "SELL"), type="STRADDLE")

    assert outcome.status == 422
    assert "unbounded" in outcome.body


def test_a_repeated_key_gets_the_stored_answer_and_another_body_a_conflict(submit):
    first = submit(key="once")

    again = submit(key="once")

    assert (again.status, again.body, again.replayed) == (202, first.body, True)
    assert OrderGroup.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        submit((90, "PE", "BUY"), (95, "PE", "SELL"), type="SPREAD", key="once")


def test_ten_at_once_under_one_key_are_one_group(submit):
    def send(_):
        outcome = submit(key="once")
        connections.close_all()
        return outcome.status, outcome.body

    with ThreadPoolExecutor(10) as threads:
        answers = set(threads.map(send, range(10)))

    assert len(answers) == 1
    assert (OrderGroup.objects.count(), Order.objects.count()) == (1, 4)


def test_groups_and_signals_share_their_keys(submit, trader):
    submit(key="once")
    signal = SignalRequest(
        signal_id="once",
        strategy="condor",
        account="paper",
        symbol="AAPL",
        action=Action.BUY,
        quantity=Decimal(1),
        body={},
    )

    with pytest.raises(IdempotencyConflict):
        submit_signal(signal, client=trader, now=now())


def test_legs_that_are_no_such_group_are_refused_by_name(submit):
    with pytest.raises(InvalidSignal, match="a SPREAD has two options of one right"):
        submit((90, "PE", "BUY"), (95, "CE", "SELL"), type="SPREAD")


def test_verdicts_on_legs_are_made_again_from_their_facts(submit):
    RiskLimit.objects.create(metric="max_group_loss", value=26)
    RiskLimit.objects.create(metric="max_vega", value=10**6)
    assert submit().status == 422
    RiskLimit.objects.filter(metric="max_group_loss").delete()
    assert submit().status == 202
    said = io.StringIO()

    call_command("rejudge", stdout=said)

    assert said.getvalue() == "8 of 8 verdicts made again\n"
