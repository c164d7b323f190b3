"""SUPERVISED mode: what passes waits for a person, and is judged again when they approve."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from execution_site.floor.events import Event, EventType
from orders.intake import approve
from orders.models import Approval, Order, Signal
from orders.models.client import issue_key
from orders.sending import grants
from risk import control
from risk.facts import SystemMode
from risk.models import RiskLimit

FINE = {"strategy": "alpha", "symbol": "AAPL", "action": "BUY", "quantity": "10"}


@pytest.fixture
def approver_key(manager):
    return "Api-Key " + issue_key(manager, scopes=["read", "approve"])[1]


@pytest.fixture
def ask(quote, trader_key, valkey):
    """SUPERVISED, and what posts a signal."""
    quote("AAPL", bid=99, ask=101)
    mode(SystemMode.SUPERVISED)
    client, count = Client(headers={"authorization": trader_key}), iter(range(10**6))

    def send(**values):
        body = FINE | {"signal_id": f"s{next(count)}"} | values
        return client.post("/api/v1/signals", json.dumps(body), content_type="application/json")

    return send


@pytest.fixture
def decide(approver_key):
    client = Client(headers={"authorization": approver_key})

    def say(signal, what, body=None):
        url = f"/api/v1/signals/{signal}/{what}"
        return client.post(url, json.dumps(body or {}), content_type="application/json")

    return say


def mode(mode):
    control.set_system_mode(mode, actor="rita", reason="a test", now=timezone.now())


def asked(answer):
    assert answer.status_code == 202
    assert answer.json()["decision"]["status"] == "AWAITING_APPROVAL"
    assert answer.json()["order"] is None
    return answer.json()["signal"]["id"]


def claim(order):
    return grants.claim_and_grant(order["id"], now=timezone.now())


def test_a_signal_waits_and_an_approval_sends_it(ask, decide):
    signal = asked(ask())
    assert not Order.objects.exists()

    answer = decide(signal, "approve")
    assert answer.status_code == 202
    assert answer.json()["signal"]["status"] == "APPROVED"
    assert Order.objects.get().approved_by == "manager"
    assert claim(answer.json()["order"]) is not None
    actions = Event.objects.filter(type=EventType.AUDIT).values_list("data__action", flat=True)
    assert "signal_approved" in actions


def test_a_refusal_by_risk_waits_for_nobody(ask):
    assert ask(quantity="1.5").status_code == 422
    assert not Approval.objects.exists()


def test_every_check_is_made_again_at_the_approval(ask, decide):
    signal = asked(ask())
    RiskLimit.objects.create(metric="max_order_quantity", value=5)

    answer = decide(signal, "approve")
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json()["errors"]] == ["max_order_quantity"]
    assert (Signal.objects.get().status, Order.objects.count()) == ("REFUSED", 0)


def test_declining_needs_a_reason(ask, decide):
    signal = asked(ask())

    assert decide(signal, "decline").status_code == 400
    answer = decide(signal, "decline", {"reason": "earnings tonight"})
    assert (answer.status_code, answer.json()["status"]) == (200, "DECLINED")
    assert Approval.objects.get().reason == "earnings tonight"


@pytest.mark.parametrize("first", ["approve", "decline"])
def test_nobody_decides_twice(ask, decide, first):
    signal = asked(ask())
    decide(signal, first, {"reason": "x"} if first == "decline" else None)

    assert decide(signal, "approve").json()["code"] == "signal_not_waiting"
    assert decide(signal, "decline", {"reason": "x"}).status_code == 409
    assert Order.objects.count() == (1 if first == "approve" else 0)


def test_nobody_decides_for_ever(ask, decide):
    signal = asked(ask())
    later = timezone.now() + timedelta(seconds=301)

    assert [approve.expire(pk, now=later) for pk in approve.overdue(now=later)] == [True]
    assert Signal.objects.get().status == "EXPIRED"
    assert decide(signal, "approve").status_code == 409


def test_it_takes_the_scope_to_approve(ask, trader_key):
    signal = asked(ask())
    client = Client(headers={"authorization": trader_key})

    answer = client.post(f"/api/v1/signals/{signal}/approve", "{}", content_type="application/json")
    assert answer.status_code == 403


def test_the_price_is_shown_as_it_was_and_as_it_is(ask, quote):
    asked(ask())
    quote("AAPL", bid=100, ask=102)

    row = Approval.objects.select_related("signal__connection", "signal__instrument__quote").get()
    shown = approve.describe(row)
    told = shown["price"], shown["price_now"], shown["drift_basis_points"]
    assert told == ("100", "101", "100")


def test_an_order_of_the_autonomous_time_is_not_sent_in_supervised(ask):
    mode(SystemMode.AUTONOMOUS)
    order = ask().json()["order"]
    mode(SystemMode.SUPERVISED)

    assert claim(order) is None
    assert Order.objects.get().status_reason == "system_mode"


def test_repeating_a_key_gets_its_stored_answer(ask, decide):
    signal = asked(ask(signal_id="once"))
    decide(signal, "approve")

    again = ask(signal_id="once")
    assert again.json()["decision"]["status"] == "AWAITING_APPROVAL"
    assert Order.objects.count() == 1


def test_nobody_approves_what_a_key_of_their_own_sent(ask, decide, trader, manager):
    signal = asked(ask())
    for owner in (trader.owner, None):
        manager.owner = owner
        manager.save()
        answer = decide(signal, "approve")
        assert (answer.status_code, answer.json()["code"]) == (403, "needs_second_person")
    browser = Client()
    trader.owner.is_superuser = True
    trader.owner.save()
    browser.force_login(trader.owner)
    url = f"/api/v1/signals/{signal}/approve"
    assert browser.post(url, "{}", content_type="application/json").status_code == 403
    assert not Order.objects.exists()
