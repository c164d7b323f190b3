"""A sender that was past the gate when the kill came cannot surface after it has drained."""

import threading
import time
from decimal import Decimal

import psycopg
import pytest
from django.db import DatabaseError, connections

from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action, Order, SubmissionAttempt
from orders.sending import grants
from risk import control
from risk.facts import KillLevel
from risk.models import OrderRate, RiskLimit
from tests.clock import now
from tests.databases import url_of


@pytest.fixture
def order(trader, quote, valkey):
    """An order that waits to be sent."""
    quote("AAPL", bid=99, ask=101)
    request = SignalRequest(
        signal_id="one",
        strategy="alpha",
        account="paper",
        symbol="AAPL",
        action=Action.BUY,
        quantity=Decimal(1),
        body={},
    )
    return submit_signal(request, client=trader, now=now()).order_id


def claim(order_id, results):
    """Claim as a worker does; note what came of it."""
    try:
        results.append(grants.claim_and_grant(order_id, now=now()))
    except grants.ClaimFailed as e:
        results.append(e.__cause__)
    connections.close_all()


def test_a_kill_waits_for_senders_past_the_gate_and_ends_those_that_overstay(db, order, account):
    RiskLimit.objects.create(metric="orders_per_second", value=10, connection=account)
    OrderRate.objects.create(connection=account, sent=[])
    results = []
    with psycopg.connect(url_of(db)) as other:  # somebody holds the rate: the sender hangs there
        other.execute("SELECT 1 FROM risk_orderrate FOR UPDATE")
        sender = threading.Thread(target=claim, args=[order, results])
        sender.start()
        time.sleep(0.3)
        drained = control.engage_kill(
            level=KillLevel.HALTED, actor="rita", reason="drill", now=now()
        )
        other.rollback()
    sender.join()

    assert drained.released_at is None
    assert drained.drained_at > drained.engaged_at
    late = SubmissionAttempt.objects.filter(
        epoch__lt=drained.epoch, granted_at__gt=drained.drained_at
    )
    assert not late.exists()
    assert isinstance(results[0], DatabaseError)
    assert Order.objects.get(pk=order).status == "PENDING"


def test_after_a_kill_the_gate_refuses_and_says_why(db, order):
    control.engage_kill(level=KillLevel.HALTED, actor="rita", reason="drill", now=now())

    assert grants.claim_and_grant(order, now=now()) is None
    ended = Order.objects.get(pk=order)
    assert (ended.status, ended.status_reason) == ("CANCELLED", "kill_switch")
