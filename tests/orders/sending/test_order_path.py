"""The one path of an order, on the real database and the paper venue."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from brokers.contract import OrderType
from brokers.models import PaperOrder
from brokers.paper.venue import ledger_positions, match
from execution_site.floor.events import Event
from orders.control.emergency import NotCancellable, request_cancel
from orders.intake.requests import IdempotencyConflict, InvalidSignal, SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action, Fill, Order, Signal
from orders.sending import submission, venue_queries
from portfolio.models import Position
from risk.models import RiskDecision, RiskLimit, SymbolRule
from tests.clock import now


def order_of(outcome):
    return Order.objects.get(pk=outcome.order_id)


def position():
    return Position.objects.get(strategy="alpha")


def refusal(outcome):
    assert outcome.status == 422
    return [error["code"] for error in json.loads(outcome.body)["errors"]]


def test_a_signal_becomes_an_order_a_fill_and_a_position(send):
    outcome = send("BUY", 10)

    order = order_of(outcome)
    assert (outcome.status, order.status, order.filled_quantity) == (202, "FILLED", 10)
    assert (position().quantity, position().cost) == (10, 1010)
    assert position().commission == Decimal("0.101")
    assert ledger_positions("paper") == {"AAPL": Decimal(10)}
    types = list(Event.objects.order_by("pk").values_list("type", flat=True))
    assert types == ["signal", "order", "order", "fill", "order", "position", "pnl"]


def test_a_round_trip_realizes_its_loss(send, quote):
    send("BUY", 10)
    send("SELL", 10)

    assert (position().quantity, position().realized_pnl) == (0, -20)


def test_the_same_key_gets_the_same_answer_and_no_second_order(send):
    first = send("BUY", 10, signal_id="once")
    again = send("BUY", 10, signal_id="once")

    assert (again.status, again.body, again.replayed) == (first.status, first.body, True)
    assert Order.objects.count() == Signal.objects.count() == 1


def test_the_same_key_with_another_body_conflicts(send):
    send("BUY", 10, signal_id="once")

    with pytest.raises(IdempotencyConflict):
        send("BUY", 11, signal_id="once")
    assert Order.objects.count() == 1


def test_a_refusal_is_stored_with_every_check_and_answers_its_key_again(send):
    first = send("BUY", Decimal("1.5"), signal_id="half")

    assert refusal(first) == ["quantity_not_in_lots"]
    assert send("BUY", Decimal("1.5"), signal_id="half").body == first.body
    assert RiskDecision.objects.get().inputs["quantity"] == "1.5"
    assert not Order.objects.exists()


def test_limits_and_symbol_rules_of_account_and_installation_all_apply(send, account):
    RiskLimit.objects.create(metric="max_order_quantity", value=100)
    RiskLimit.objects.create(metric="max_order_quantity", connection=account, value=50)
    RiskLimit.objects.create(metric="daily_trades", value=1)
    SymbolRule.objects.create(symbol="MSFT", rule="ALLOW", connection=account)
    assert refusal(send("BUY", 51)) == ["symbol_allowed", "max_order_quantity"]

    SymbolRule.objects.create(symbol="AAPL", rule="ALLOW", connection=account)
    assert send("BUY", 50).status == 202
    assert refusal(send("BUY", 50)) == ["daily_trades"]
    SymbolRule.objects.create(symbol="AAPL", rule="DENY")
    assert refusal(send("BUY", 50)) == ["symbol_allowed", "daily_trades"]
    assert send("EXIT", None).status == 202


def test_unknown_names_are_named_together_and_nothing_is_stored(trader, db):
    body = {"signal_id": "x"}
    request = SignalRequest(
        signal_id="x", strategy="a", account="nowhere", symbol="NONE", action=Action.BUY, body=body
    )
    with pytest.raises(InvalidSignal) as caught:
        submit_signal(request, client=trader, now=now())
    assert [error["field"] for error in caught.value.errors] == ["account", "symbol"]
    assert not Signal.objects.exists()


def test_hold_is_recorded_without_an_order(send):
    outcome = send("HOLD", None)

    assert (outcome.status, json.loads(outcome.body)["order"]) == (200, None)
    assert Signal.objects.get().status == "HELD"


def test_exit_sells_a_long_and_refuses_a_flat(send):
    assert refusal(send("EXIT", None)) == ["nothing_to_close"]
    send("BUY", 10)
    assert order_of(send("EXIT", None)).side == "SELL"
    assert position().quantity == 0
    assert refusal(send("EXIT", None)) == ["nothing_to_close"]


def test_exit_buys_back_a_short_in_part(send):
    send("SELL", 10)
    order = order_of(send("EXIT", 4))

    assert (order.side, order.quantity, position().quantity) == ("BUY", 4, -6)


def test_what_is_being_closed_cannot_be_closed_twice(send):
    send("BUY", 10)
    send("EXIT", 7, transmit=False)

    assert refusal(send("EXIT", 4)) == ["exceeds_closable"]
    assert send("EXIT", 3).status == 202


def test_exit_closes_its_own_strategy_s_position_alone(send):
    send("BUY", 10)
    send("BUY", 5, strategy="beta")
    send("EXIT", None)

    assert Position.objects.get(strategy="beta").quantity == 5


def test_exit_cancels_the_strategy_s_working_entries(send):
    send("BUY", 10)
    waiting = order_of(send("BUY", 5, transmit=False))
    resting = order_of(send("BUY", 5, order_type=OrderType.LIMIT, limit_price=Decimal(90)))
    send("EXIT", None)

    waiting.refresh_from_db()
    resting.refresh_from_db()
    assert (waiting.status, resting.pending_action) == ("CANCELLED", "CANCEL")


def test_a_limit_rests_and_fills_when_the_market_comes(send, quote):
    order = order_of(send("BUY", 10, order_type=OrderType.LIMIT, limit_price=Decimal(95)))
    assert order.status == "ACCEPTED"

    quote("AAPL", bid=93, ask=94)
    match(["AAPL"], now=now())
    connection_id = order.connection_id
    venue_queries.follow("paper", connection_id, now=now())

    order.refresh_from_db()
    assert (order.status, order.average_price) == ("FILLED", 95)
    assert venue_queries.follow("paper", connection_id, now=now()) == 0


def test_the_stream_after_the_answer_books_nothing_twice(send):
    order = order_of(send("BUY", 10))
    venue_queries.follow("paper", order.connection_id, now=now())

    assert Fill.objects.count() == 1
    assert position().quantity == 10


def test_a_cancel_before_any_send_ends_the_order_here(send):
    outcome = send("BUY", 10, transmit=False)
    request_cancel(outcome.order_id, actor="trader", now=now())
    submission.transmit(outcome.order_id, now=now())

    assert order_of(outcome).status == "CANCELLED"
    assert not PaperOrder.objects.exists()


def test_a_cancel_at_the_venue_ends_on_the_venue_s_word(send):
    outcome = send("BUY", 10, order_type=OrderType.LIMIT, limit_price=Decimal(95))
    request_cancel(outcome.order_id, actor="trader", now=now())
    assert order_of(outcome).status == "ACCEPTED"
    venue_queries.cancel(outcome.order_id, now=now())

    assert (order_of(outcome).status, order_of(outcome).pending_action) == ("CANCELLED", "NONE")
    with pytest.raises(NotCancellable):
        request_cancel(outcome.order_id, actor="trader", now=now())


def test_an_order_is_sent_once_however_often_it_is_hinted(send):
    outcome = send("BUY", 10)
    for _ in range(3):
        submission.transmit(outcome.order_id, now=now())

    assert PaperOrder.objects.count() == 1


def test_an_order_too_old_to_send_expires_unsent(send):
    outcome = send("BUY", 10, transmit=False)
    submission.transmit(outcome.order_id, now=now() + timedelta(seconds=301))

    assert (order_of(outcome).status, order_of(outcome).status_reason) == (
        "EXPIRED",
        "signal_expired",
    )
    assert not PaperOrder.objects.exists()
