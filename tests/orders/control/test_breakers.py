"""Circuit breakers on the real database: what each reads, what it stops, and its reset."""

import itertools
import json
from datetime import timedelta
from decimal import Decimal
from unittest.mock import Mock

import pytest

from brokers.contract import OrderType
from execution_site.floor.audit import ReasonRequired
from execution_site.floor.events import Event, EventType
from orders.control import breakers, mass_actions
from orders.market.loop import MarketLoop
from orders.models import MassAction, Order, SubmissionAttempt
from orders.sending import grants, venue_queries
from portfolio.models import ClosedTrade, Position
from risk import days
from risk.breakers import BreakerState
from risk.models import Breaker
from tests.clock import now


def breaker(kind, threshold, **values):
    values = {"evaluated_at": now()} | values
    return Breaker.objects.create(kind=kind, threshold=Decimal(str(threshold)), **values)


def watch(account, seconds):
    """Evaluate as the market loop does, `seconds` from now."""
    at = now() + timedelta(seconds=seconds)
    day = account.trading_date(at)
    days.evaluate(connection_id=account.pk, now=at, trading_date=day)
    breakers.evaluate(now=at)


def state():
    return Breaker.objects.get().state


def refusal(outcome):
    return [error["code"] for error in json.loads(outcome.body).get("errors", [])]


def test_a_daily_loss_trips_after_three_readings_blocks_entries_and_lets_close(
    send, account, quote
):
    breaker("daily_loss", 100, connection=account)
    send("BUY", 10)
    for n in range(3):
        assert state() == "ARMED"
        quote("AAPL", bid=89, ask=91, at=now() + timedelta(seconds=n + 1))
        watch(account, n + 1)

    assert state() == "TRIPPED"
    assert refusal(send("BUY", 1)) == ["breaker"]
    assert send("EXIT", None).status == 202
    told = Event.objects.filter(type=EventType.BREAKER).values_list("data__state", flat=True)
    assert list(told) == ["TRIPPED"]


def test_a_missing_quote_makes_a_loss_breaker_unsafe_and_entries_wait(send, account, quote):
    breaker("daily_loss", 100)
    send("BUY", 10)
    watch(account, 30)

    assert state() == "UNSAFE"
    assert refusal(send("BUY", 1)) == ["breaker"]
    quote("AAPL", bid=99, ask=101)
    watch(account, 1)
    assert state() == "ARMED"
    assert send("BUY", 1).status == 202


def test_a_breaker_nobody_evaluates_blocks(send, account):
    breaker("venue_errors", 3, evaluated_at=None)

    assert refusal(send("BUY", 1)) == ["breaker"]
    breakers.evaluate(now=now())
    assert send("BUY", 1).status == 202


def test_a_venue_that_never_stops_reporting_holds_up_no_breaker(account, monkeypatch):
    breaker("venue_errors", 3, evaluated_at=None)
    reports = itertools.repeat(1, 1000)
    monkeypatch.setattr(venue_queries, "follow", lambda *_, **__: next(reports))

    MarketLoop(None, holder="here").step()

    assert Breaker.objects.get().evaluated_at is not None
    assert next(reports) == 1


def test_drawdown_is_from_the_days_peak(send, account, quote):
    breaker("drawdown", 150)
    send("BUY", 10)
    for n, mid in enumerate((120, 105, 104, 103)):
        quote("AAPL", bid=mid, ask=mid, at=now() + timedelta(seconds=n + 1))
        watch(account, n + 1)

    assert state() == "TRIPPED"
    assert Breaker.objects.get().value == 170


def test_a_streak_of_losing_trades_is_counted_over_closed_ones(send, account, quote):
    breaker("loss_streak", 3, strategy="alpha")
    for _ in range(3):
        send("BUY", 10)
        breakers.evaluate(now=now())
        assert state() == "ARMED"
        send("EXIT", None)

    breakers.evaluate(now=now())
    assert state() == "TRIPPED"
    assert [t.pnl for t in ClosedTrade.objects.all()] == [Decimal("-20.2")] * 3


def test_a_winning_trade_ends_the_streak(send, account, quote):
    breaker("loss_streak", 2)
    send("BUY", 10)
    send("EXIT", None)
    send("BUY", 10)
    quote("AAPL", bid=120, ask=121)
    send("EXIT", None)

    breakers.evaluate(now=now())
    assert Breaker.objects.get().value == 0


def attempts(send, outcome, count):
    for _ in range(count):
        order = Order.objects.get(pk=send("BUY", 1).order_id)
        SubmissionAttempt.objects.filter(order=order).update(outcome=outcome)


@pytest.mark.parametrize(
    ("kind", "threshold", "outcome", "count", "expected"),
    [
        ("venue_errors", 3, "UNKNOWN", 2, "ARMED"),
        ("venue_errors", 3, "UNKNOWN", 3, "TRIPPED"),
        ("venue_errors", 3, "UNSENT", 3, "TRIPPED"),
        ("rejection_rate", "0.5", "REJECTED", 4, "ARMED"),  # too few to say
        ("rejection_rate", "0.5", "REJECTED", 5, "TRIPPED"),
        ("rejection_rate", "0.5", "ANSWERED", 5, "ARMED"),
    ],
)
def test_what_the_venue_says_is_counted(send, account, kind, threshold, outcome, count, expected):
    attempts(send, outcome, count)
    breaker(kind, threshold)
    breakers.evaluate(now=now())

    assert state() == expected


def test_more_sends_than_an_order_asked_for(send, account):
    breaker("runaway", 2)
    order = Order.objects.get(pk=send("BUY", 1).order_id)
    SubmissionAttempt.objects.create(order=order, number=9, epoch=1, granted_at=now())
    breakers.evaluate(now=now())

    assert state() == "TRIPPED"


def test_slippage_is_the_mean_against_the_mid(send, account):
    send("BUY", 10)
    breaker("slippage", 100)
    breakers.evaluate(now=now())

    assert (state(), Breaker.objects.get().value) == ("TRIPPED", 100)


def test_stale_data_counts_while_something_is_held(send, account):
    breaker("stale_data", 5)
    watch(account, 0)
    assert state() == "ARMED"
    send("BUY", 10)
    watch(account, 9)
    assert state() == "TRIPPED"


def test_a_tripped_breaker_stops_an_order_at_its_grant(send, account):
    order = send("BUY", 1, transmit=False).order_id
    breaker("venue_errors", 1, state="TRIPPED", evaluated_at=now())

    assert grants.claim_and_grant(order, now=now()) is None
    assert Order.objects.get(pk=order).status_reason == "breaker"


@pytest.mark.parametrize(("action", "held"), [("BLOCK", 10), ("CANCEL", 10), ("FLATTEN", 0)])
def test_what_it_does_beside_blocking(send, account, action, held):
    send("BUY", 10)
    resting = send("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50)).order_id
    row = breaker("slippage", 1, action=action)
    breakers.evaluate(now=now())
    for pk in breakers.waiting_to_act():
        breakers.act(pk, now=now())
        breakers.act(pk, now=now())  # again: nothing more

    row.refresh_from_db()
    asked = Order.objects.get(pk=resting).pending_action
    assert (asked == "CANCEL") is (action != "BLOCK")
    closing = Order.objects.filter(origin="FLATTEN")
    assert closing.count() == (1 if held == 0 else 0)
    assert Position.objects.get().quantity == 10  # until it is sent


def test_a_worker_that_dies_in_its_action_leaves_it_to_the_next(send, account, monkeypatch):
    send("BUY", 10)
    row = breaker("slippage", 1, action="FLATTEN")
    breakers.evaluate(now=now())
    with monkeypatch.context() as patched:
        patched.setattr(mass_actions, "begin", Mock(side_effect=SystemExit))
        with pytest.raises(SystemExit):
            breakers.act(row.pk, now=now())

    assert not breakers.waiting_to_act()
    action = MassAction.objects.get()
    mass_actions.take_over(action.pk, now=now() + timedelta(seconds=3))
    assert Order.objects.filter(origin="FLATTEN").count() == 1


def test_a_reset_is_audited_and_begins_anew(send, account, risk_manager):
    attempts(send, "UNKNOWN", 3)
    row = breaker("venue_errors", 3)
    breakers.evaluate(now=now())
    with pytest.raises(ReasonRequired):
        breakers.reset(row.pk, actor="rita", reason=" ", now=now())

    breakers.reset(row.pk, actor="rita", reason="the venue is back", now=now())
    breakers.evaluate(now=now())
    row.refresh_from_db()
    assert (row.state, row.value) == (BreakerState.ARMED, 0)
    audit = Event.objects.filter(type=EventType.AUDIT).latest("pk").data
    assert (audit["actor"], audit["before"]["state"]) == ("rita", "TRIPPED")
