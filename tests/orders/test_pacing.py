"""The order rate: never more grants than the cap in any window; cancels never wait."""

import os
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import OrderType
from orders import authority, emergency, monitoring
from orders.models import Order, SubmissionAttempt
from risk import pacing
from risk.models import OrderRate, RiskLimit

ORDERS = int(os.environ.get("ORDERS", "40"))  # 300 make half a minute of it
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


@given(
    cap=st.integers(1, 5),
    minute=st.integers(1, 20),
    gaps=st.lists(st.integers(0, 2_000), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_its_cap(cap, minute, gaps):
    sent, now = [], START
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        free = pacing.earliest(sent, (cap, minute), now=now)
        if free <= now:
            sent.append(now)
    for window, most in ((timedelta(seconds=1), cap), (timedelta(minutes=1), minute)):
        for first in sent:
            assert sum(first <= at < first + window for at in sent) <= most


def test_the_turn_that_is_named_is_good(db):
    sent = [START, START + timedelta(milliseconds=300)]
    free = pacing.earliest(sent, (2, None), now=START + timedelta(milliseconds=400))

    assert free == START + pacing.SECOND + pacing.JITTER
    assert pacing.earliest(sent, (2, None), now=free) == free
    assert pacing.earliest(sent, (None, 2), now=free) == START + pacing.MINUTE + pacing.JITTER


@pytest.fixture
def limited(send, account):
    RiskLimit.objects.create(metric="orders_per_second", value=10, connection=account)
    return send


def granted():
    at = SubmissionAttempt.objects.order_by("granted_at").values_list("granted_at", flat=True)
    return list(at)


def most_in_a_second(times):
    second = timedelta(seconds=1)
    return max(sum(first <= at < first + second for at in times) for first in times)


def test_sixteen_senders_at_four_times_the_rate_keep_to_it(limited):
    orders = [limited("BUY", 1, transmit=False).order_id for _ in range(ORDERS)]
    done = threading.Event()

    def send_what_is_due():
        while not done.is_set():
            now = datetime.now(UTC)
            for pk in Order.objects.due(now=now).order_by("?").values_list("pk", flat=True)[:5]:
                authority.claim_and_grant(pk, now=now)
        connections.close_all()

    senders = [threading.Thread(target=send_what_is_due) for _ in range(8)]
    for sender in senders:
        sender.start()
    try:
        deadline = datetime.now(UTC) + timedelta(seconds=20 + ORDERS / 5)
        while Order.objects.filter(pk__in=orders, status="PENDING").exists():
            assert datetime.now(UTC) < deadline
    finally:
        done.set()
        for sender in senders:
            sender.join()

    times = granted()
    took = (times[-1] - times[0]).total_seconds()
    print(f"{ORDERS} orders in {took:.1f} s, at most {most_in_a_second(times)} in any second")
    assert len(times) == ORDERS
    assert most_in_a_second(times) <= 10
    assert took < ORDERS / 5  # it waits no longer than it must


def test_an_order_whose_turn_has_not_come_waits_and_is_hinted_at_it(limited):
    RiskLimit.objects.update(value=1)
    first, second = (limited("BUY", 1, transmit=False).order_id for _ in range(2))
    now = datetime.now(UTC)

    assert authority.claim_and_grant(first, now=now) is not None
    assert authority.claim_and_grant(second, now=now) is None
    waiting = Order.objects.get(pk=second)
    assert (waiting.status, waiting.due_at > now + timedelta(seconds=1)) == ("PENDING", True)


def test_a_cancel_never_waits_but_counts(limited):
    RiskLimit.objects.update(value=1)
    resting = limited("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50)).order_id
    now = datetime.now(UTC)
    emergency.request_cancel(resting, actor="rita", now=now)
    monitoring.cancel(resting, now=now)

    assert Order.objects.get(pk=resting).status == "CANCELLED"
    assert len(OrderRate.objects.get().sent) == 2
    with transaction.atomic():
        assert not pacing.take(Order.objects.get(pk=resting).connection_id).granted
