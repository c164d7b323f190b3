"""Modifying orders: what is judged, what passes, and how races with fills and lost answers end."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command

from brokers import registry
from brokers.contract import (
    BrokerUnavailable,
    OrderRejected,
    OrderTerms,
    OrderType,
    OutcomeUnknown,
    Side,
)
from brokers.models import PaperOrder
from brokers.paper.venue import PaperVenue, match
from orders import sweeper
from orders.booking.terms import widens
from orders.control.emergency import request_cancel
from orders.intake.modify import (
    Changes,
    InvalidTerms,
    NotModifiable,
    ReplacementRefused,
    request_replace,
)
from orders.lifecycle import OrderStatus
from orders.models import Order, Replacement
from orders.sending import replacement, venue_queries
from risk import control
from risk.facts import KillLevel, SystemMode
from risk.models import RiskLimit
from tests.clock import now

LIMIT = {"order_type": OrderType.LIMIT, "limit_price": Decimal(95)}
KILL = {"level": KillLevel.HALTED, "actor": "rita", "reason": "test"}


@pytest.fixture
def resting(send):
    """A limit order of 10 at 95 that works at the venue."""
    return send(**LIMIT).order_id


def modified(order_id, *, transmit=True, **changes):
    values = {name: Decimal(str(value)) for name, value in changes.items()}
    order = request_replace(order_id, Changes(**values), actor="trader", now=now())
    if transmit:
        replacement.transmit(order_id, now=now())
        order = Order.objects.get(pk=order_id)
    return order


def terms(order_id):
    order = Order.objects.get(pk=order_id)
    return (order.quantity, order.limit_price, order.pending_action)


def status():
    return Replacement.objects.get().status


@pytest.mark.parametrize(
    ("_case", "side", "was", "wanted", "expected"),
    [
        ("more", Side.BUY, (10, 95, None), (11, 95, None), True),
        ("less", Side.BUY, (10, 95, None), (9, 95, None), False),
        ("a buy at a higher limit", Side.BUY, (10, 95, None), (10, 96, None), True),
        ("a buy at a lower limit", Side.BUY, (10, 95, None), (10, 94, None), False),
        ("a sell at a lower limit", Side.SELL, (10, 95, None), (10, 94, None), True),
        ("a sell at a higher limit", Side.SELL, (10, 95, None), (10, 96, None), False),
        ("less at a worse price", Side.BUY, (10, 95, None), (5, 96, None), True),
        ("a moved stop", Side.SELL, (10, None, 90), (10, None, 91), True),
    ],
)
def test_what_widens_an_order(_case, side, was, wanted, expected):
    assert widens(OrderTerms(*was), OrderTerms(*wanted), side) is expected


def test_a_working_order_gets_new_terms_at_its_venue(resting):
    order = modified(resting, transmit=False, quantity=20, limit_price="96")
    assert terms(resting) == (10, 95, "REPLACE")
    assert order.status == OrderStatus.ACCEPTED

    replacement.transmit(resting, now=now())

    assert terms(resting) == (20, 96, "NONE")
    assert (PaperOrder.objects.get().quantity, status()) == (20, "DONE")


def test_an_order_before_its_send_gets_them_at_once(send):
    order_id = send(**LIMIT, transmit=False).order_id

    modified(order_id, transmit=False, limit_price="96")

    assert (*terms(order_id), status()) == (10, 96, "NONE", "DONE")


def test_new_terms_can_fill_at_once_and_close_the_race(resting):
    order = modified(resting, limit_price="101")

    assert (order.status, order.average_price, status()) == ("FILLED", 101, "DONE")


def test_what_widens_is_judged_as_a_whole_and_kept(resting, account):
    RiskLimit.objects.create(connection=account, metric="max_order_quantity", value=15)

    modified(resting, quantity=15)
    with pytest.raises(ReplacementRefused) as refused:
        modified(resting, quantity=16)

    assert [c.name for c in refused.value.verdict.checks if c.status != "PASSED"] == [
        "max_order_quantity"
    ]
    kept = Replacement.objects.latest("pk")
    assert (kept.status, kept.decision.status) == ("REFUSED", "REFUSED")
    assert terms(resting) == (15, 95, "NONE")


def test_the_day_s_trades_are_not_counted_twice(resting, account):
    RiskLimit.objects.create(connection=account, metric="daily_trades", value=1)

    assert modified(resting, quantity=20).quantity == 20


def test_under_a_kill_an_order_can_be_narrowed_and_not_widened(resting):
    control.engage_kill(**KILL, now=now())

    assert modified(resting, quantity=5, limit_price="94").quantity == 5
    with pytest.raises(ReplacementRefused):
        modified(resting, quantity=6)
    call_command("rejudge")


def test_in_supervised_what_widens_an_order_takes_a_new_signal_to_approve(resting):
    control.set_system_mode(SystemMode.SUPERVISED, actor="rita", reason="test", now=now())

    assert modified(resting, quantity=5).quantity == 5
    with pytest.raises(ReplacementRefused) as refused:
        modified(resting, quantity=6)
    assert [c.name for c in refused.value.verdict.checks if c.status != "PASSED"] == ["system_mode"]
    call_command("rejudge")


def test_a_kill_between_request_and_grant_stops_what_widens(resting):
    modified(resting, transmit=False, quantity=20)
    control.engage_kill(**KILL, now=now())

    replacement.transmit(resting, now=now())

    assert (*terms(resting), status()) == (10, 95, "NONE", "REFUSED")
    assert PaperOrder.objects.get().quantity == 10


def test_a_cancel_passes_a_replacement_by(resting):
    modified(resting, transmit=False, quantity=20)
    request_cancel(resting, actor="trader", now=now())

    replacement.transmit(resting, now=now())
    venue_queries.cancel(resting, now=now())

    order = Order.objects.get(pk=resting)
    assert (order.status, order.quantity, status()) == ("CANCELLED", 10, "OVERTAKEN")


def test_a_fill_that_overtakes_a_replacement_wins(resting, account, quote):
    modified(resting, transmit=False, quantity=20)
    quote("AAPL", bid=94, ask=95)
    match(["AAPL"], now=now())

    replacement.transmit(resting, now=now())
    venue_queries.follow("paper", account.pk, now=now())

    order = Order.objects.get(pk=resting)
    assert (order.status, order.filled_quantity, order.pending_action) == ("FILLED", 10, "NONE")
    assert status() == "REJECTED"


def test_old_news_does_not_bring_old_terms_back(resting, account):
    """The stream tells again what came before the answer."""
    modified(resting, quantity=20)

    venue_queries.follow("paper", account.pk, now=now())

    assert terms(resting) == (20, 95, "NONE")


@pytest.fixture
def answer_lost(monkeypatch):
    """The venue takes new terms and its answer is lost."""
    real = PaperVenue.replace

    def lose(self, grant):
        real(self, grant)
        raise OutcomeUnknown("lost")

    registry._adapters.clear()
    monkeypatch.setattr(PaperVenue, "replace", lose)


def test_after_a_lost_answer_the_order_s_own_report_says(resting, answer_lost):
    modified(resting, quantity=20)
    assert terms(resting) == (10, 95, "REPLACE")

    venue_queries.look_up(resting, now=now())

    assert (*terms(resting), status()) == (20, 95, "NONE", "DONE")


@pytest.mark.parametrize("step", [timedelta(hours=5), timedelta(hours=-5)])
def test_terms_that_never_arrived_are_given_up_when_no_sender_can_be_on_its_way(
    resting, monkeypatch, steady, step
):
    def lose(self, grant):
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(PaperVenue, "replace", lose)
    modified(resting, quantity=20)

    venue_queries.look_up(resting, now=now())
    steady.at += 9.9
    venue_queries.look_up(resting, now=now() + step)  # the clock was set
    assert status() == "SENT"
    steady.at += 0.1
    venue_queries.look_up(resting, now=now() + step + timedelta(seconds=2))

    assert (*terms(resting), status()) == (10, 95, "NONE", "FAILED")


def test_a_venue_that_is_away_is_asked_three_times(resting, monkeypatch):
    def away(self, grant):
        raise BrokerUnavailable("away")

    monkeypatch.setattr(PaperVenue, "replace", away)
    modified(resting, transmit=False, quantity=20)
    for minute in range(4):
        replacement.transmit(resting, now=now() + timedelta(minutes=minute))

    assert (*terms(resting), status(), Replacement.objects.get().attempts) == (
        10,
        95,
        "NONE",
        "FAILED",
        3,
    )


def test_a_lost_hint_is_given_again(resting, monkeypatch):
    hinted = []
    monkeypatch.setattr("orders.hints.transmit", hinted.append)
    modified(resting, transmit=False, quantity=20)
    hinted.clear()

    sweeper.sweep(now=now() + timedelta(seconds=2))

    assert hinted == ["paper"]


@pytest.mark.parametrize(
    ("_case", "changes", "field"),
    [
        ("a stop price of a limit order", {"stop_price": 90}, "stop_price"),
        ("no price", {"limit_price": 0}, "limit_price"),
        ("nothing", {}, ""),
        ("the same", {"quantity": 10}, ""),
    ],
)
def test_bad_terms_name_their_field(resting, _case, changes, field):
    with pytest.raises(InvalidTerms) as invalid:
        modified(resting, **changes)

    assert [error["field"] for error in invalid.value.errors] == [field]
    assert not Replacement.objects.exists()


def test_what_has_ended_or_is_on_its_way_cannot_be_modified(send, resting):
    filled = send().order_id
    with pytest.raises(NotModifiable, match="FILLED"):
        modified(filled, quantity=20)
    modified(resting, transmit=False, quantity=20)
    with pytest.raises(NotModifiable, match="REPLACE on its way"):
        modified(resting, quantity=30)


def test_rest(client, resting, trader_key, outsider_key):
    headers = {"Authorization": trader_key}

    def post(body, **extra):
        return client.post(
            f"/api/v1/orders/{resting}/modify",
            json.dumps(body),
            content_type="application/json",
            headers=headers | extra,
        )

    tag = client.get(f"/api/v1/orders/{resting}", headers=headers)["ETag"]
    assert post({"quantity": "20"}, **{"If-Match": '"1-1"'}).status_code == 412
    answer = post({"quantity": "20"}, **{"If-Match": f'"1-1", {tag}'})
    assert (answer.status_code, answer.json()["pending_action"]) == (202, "REPLACE")
    assert post({"quantity": "30"}, **{"If-Match": "*"}).json()["code"] == "order_not_modifiable"
    assert post({"stop_loss": "1"}).json()["code"] == "unsupported"
    replacement.transmit(resting, now=now())
    refused = post({"limit_price": "95.001"})
    assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
    assert refused.json()["errors"][0]["code"] == "price_off_tick"
    headers["Authorization"] = outsider_key
    assert post({"quantity": "30"}).status_code == 404


@pytest.mark.parametrize(
    ("_case", "error", "expected"),
    [
        ("never left", BrokerUnavailable("away"), "FAILED"),
        ("the venue refuses it", OrderRejected("not now"), "REJECTED"),
    ],
)
def test_new_terms_that_came_to_nothing_take_no_room(resting, monkeypatch, _case, error, expected):
    def replace(self, grant):
        raise error

    monkeypatch.setattr(PaperVenue, "replace", replace)
    modified(resting, transmit=False, quantity=20)
    assert Order.objects.get().working_quantity == 20
    for _ in range(3):
        Replacement.objects.filter(status="WAITING").update(due_at=now())
        replacement.transmit(resting, now=now())

    assert (status(), Order.objects.get().working_quantity) == (expected, 10)


@pytest.mark.parametrize(
    ("_case", "arrived", "expected"),
    [("arrived", True, "DONE"), ("did not", False, "OVERTAKEN")],
)
def test_a_modify_whose_answer_is_lost_is_settled_when_a_cancel_ends_its_order(
    resting, monkeypatch, _case, arrived, expected
):
    real = PaperVenue.replace

    def replace(self, grant):
        if arrived:
            real(self, grant)
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(PaperVenue, "replace", replace)
    modified(resting, transmit=False, quantity=20)
    replacement.transmit(resting, now=now())
    request_cancel(resting, actor="trader", now=now())
    venue_queries.cancel(resting, now=now())

    order = Order.objects.get()
    assert (order.status, order.pending_action, status()) == ("CANCELLED", "NONE", expected)
