"""The order rate: never more grants than the cap in any window; cancels never wait."""

import os
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import OrderType
from orders.control import emergency
from orders.intake import modify
from orders.intake.modify import Changes, NotModifiable
from orders.models import Order, SubmissionAttempt
from orders.sending import grants, replacement, submission, venue_queries
from risk import pacing
from risk.models import OrderRate, RiskLimit

ORDERS = int(os.environ.get("ORDERS", "40"))  # 300 make half a minute of it
MIXED_SECONDS = float(os.environ.get("MIXED_SECONDS", "3"))  # 60 are the long form
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
                grants.claim_and_grant(pk, now=now)
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


def test_an_account_whose_turn_has_not_come_waits_and_is_hinted_at_then(limited, monkeypatch):
    RiskLimit.objects.update(value=1)
    first, second, third = (limited("BUY", 1, transmit=False).order_id for _ in range(3))
    hinted = []
    monkeypatch.setattr("orders.hints.transmit", lambda account, *, at: hinted.append(at))

    assert submission.transmit_oldest("paper", now=datetime.now(UTC))
    sent_at = SubmissionAttempt.objects.get(order=first).granted_at
    assert submission.transmit_oldest("paper", now=datetime.now(UTC))  # it finds that it must wait
    for _ in range(3):  # and now nobody tries in vain
        assert not submission.transmit_oldest("paper", now=datetime.now(UTC))

    assert hinted == [sent_at + pacing.SECOND + pacing.JITTER]
    waiting = Order.objects.due(now=datetime.now(UTC)).order_by("pk")
    assert list(waiting.values_list("pk", flat=True)) == [second, third]
    time.sleep((hinted[0] - datetime.now(UTC)).total_seconds())
    assert submission.transmit_oldest("paper", now=datetime.now(UTC))
    assert SubmissionAttempt.objects.filter(order=second).exists()  # it has waited longest


def test_a_wait_from_before_the_clock_was_set_back_holds_up_nobody(limited, account):
    order = limited("BUY", 1, transmit=False).order_id
    ahead = datetime.now(UTC) + timedelta(hours=3)
    OrderRate.objects.create(connection=account, sent=[ahead] * 9, next_at=ahead)

    assert submission.transmit_oldest("paper", now=datetime.now(UTC))
    assert SubmissionAttempt.objects.filter(order=order).exists()
    with transaction.atomic():
        turn = pacing.take(account.pk)
    assert not turn.granted
    assert turn.at - datetime.now(UTC) < timedelta(seconds=2)


@pytest.mark.parametrize("seed", range(4))
def test_no_window_holds_more_than_its_cap_whatever_is_mixed(limited, seed):
    """Orders, modifies and cancels by six threads; cancels count, but never wait."""
    dice = random.Random(seed)
    resting = [
        limited("BUY", 10, order_type=OrderType.LIMIT, limit_price=Decimal(price)).order_id
        for price in range(90, 96)
    ]
    waiting = [limited("BUY", 1, transmit=False).order_id for _ in range(24)]
    ends = time.monotonic() + MIXED_SECONDS

    def work(chosen):
        while time.monotonic() < ends:
            now, order = datetime.now(UTC), chosen.choice(resting)
            time.sleep(chosen.uniform(0, 0.02))
            match chosen.choice(("send", "send", "modify", "modify", "cancel")):
                case "send":
                    submission.transmit_oldest("paper", now=now)
                case "modify":
                    with suppress(NotModifiable):
                        price = Decimal(chosen.randrange(9000, 9900)) / 100
                        modify.request_replace(
                            order, Changes(limit_price=price), actor="rita", now=now
                        )
                    replacement.transmit_oldest("paper", now=datetime.now(UTC))
                case "cancel" if chosen.random() < 0.1:
                    with suppress(emergency.NotCancellable):
                        emergency.request_cancel(order, actor="rita", now=now)
                    venue_queries.cancel_oldest("paper", now=datetime.now(UTC))
        connections.close_all()

    threads = [threading.Thread(target=work, args=[random.Random(dice.random())]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    times = granted()
    kinds = Counter(SubmissionAttempt.objects.values_list("order__order_type", flat=True))
    print(f"seed {seed}: {dict(kinds)}, at most {most_in_a_second(times)} in any second")
    assert len(times) > 10 < len(waiting) + len(resting)
    assert most_in_a_second(times) <= 10
    assert set(times) <= set(OrderRate.objects.get().sent)  # an attempt's time is its turn's


def test_a_cancel_never_waits_but_counts(limited):
    RiskLimit.objects.update(value=1)
    resting = limited("BUY", 1, order_type=OrderType.LIMIT, limit_price=Decimal(50)).order_id
    now = datetime.now(UTC)
    emergency.request_cancel(resting, actor="rita", now=now)
    venue_queries.cancel(resting, now=now)

    assert Order.objects.get(pk=resting).status == "CANCELLED"
    assert len(OrderRate.objects.get().sent) == 2
    with transaction.atomic():
        assert not pacing.take(Order.objects.get(pk=resting).connection_id).granted
