"""Hints name an account: few are outstanding however much waits, and what waits is worked off."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connections

from brokers.models import PaperOrder
from orders import hints
from orders.booking import read_sql
from orders.models import Order, SubmissionAttempt
from orders.sending import due_work, submission

THREADS = settings.WORKER_THREADS


def waiting(valkey, queue, *, seconds=5):
    """Return how many messages a queue holds once all that was to be given has been."""
    deadline = time.monotonic() + seconds
    while hints._giver._waiting or not valkey.llen(queue):
        assert time.monotonic() < deadline, "no hint was given"
        time.sleep(0.01)
    time.sleep(0.05)  # the last one is on its way
    return valkey.llen(queue)


@pytest.mark.parametrize(
    ("_case", "give", "queue", "most"),
    [
        ("orders", lambda _: hints.transmit("paper"), "submit.paper", THREADS),
        ("cancels", lambda _: hints.cancel("paper"), "cancel.paper", THREADS),
        ("look-ups", lambda _: hints.look_up("paper"), "query.paper", THREADS),
        ("breakers", lambda _: hints.act_on_breakers(), "breakers", 1),
        ("groups", hints.advance_group, "groups", hints.GROUPS_WAITING),
    ],
)
def test_few_hints_are_outstanding_and_a_flushed_queue_is_hinted_at_again(
    valkey, _case, give, queue, most
):
    for number in range(500):
        give(number)
        if number % 25 == 0:
            time.sleep(0.01)  # so that they are not all alike at once

    assert 1 <= waiting(valkey, queue) <= most
    valkey.flushall()
    give(0)
    assert 1 <= waiting(valkey, queue) <= most


def test_an_earlier_time_counts_where_hints_are_alike(valkey):
    hints.transmit("paper", at=datetime.now(UTC) + timedelta(hours=1))
    assert not valkey.llen("submit.paper")

    hints.transmit("paper")
    assert waiting(valkey, "submit.paper") == 1


def test_four_workers_send_all_that_is_due_once_and_oldest_first(send, valkey):
    ids = [send("BUY", 1, transmit=False).order_id for _ in range(24)]
    shuffled = [*ids[12:], *ids[:12]]
    for age, pk in enumerate(reversed(shuffled)):
        at = datetime.now(UTC) - timedelta(seconds=age)
        Order.objects.filter(pk=pk).update(due_at=at)
    again = []

    def worker():
        due_work.work_off("paper", submission.transmit_oldest, again=again.append)
        connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while Order.objects.due(now=datetime.now(UTC)).exists():
        worker()

    assert "paper" in again  # one called for help
    assert PaperOrder.objects.count() == len(ids)
    granted = SubmissionAttempt.objects.order_by("granted_at").values_list("order", flat=True)
    place = {pk: n for n, pk in enumerate(shuffled)}
    # four at once: an order may overtake those that the others are claiming, no more
    assert all(abs(place[pk] - n) < 8 for n, pk in enumerate(granted))


def test_an_order_that_cannot_be_claimed_holds_up_no_other(send, valkey, monkeypatch, caplog):
    bad, *others = (send("BUY", 1, transmit=False).order_id for _ in range(4))
    read = read_sql.with_switches

    def fail(order_id):
        if order_id == bad:
            raise ValueError("a row that nobody can read")
        return read(order_id)

    monkeypatch.setattr(read_sql, "with_switches", fail)
    for _ in range(4):
        assert submission.transmit_oldest("paper", now=datetime.now(UTC))

    sent = PaperOrder.objects.order_by("pk").values_list("client_order_id", flat=True)
    assert list(sent) == list(
        Order.objects.filter(pk__in=others).order_by("pk").values_list("client_order_id", flat=True)
    )
    assert f"order {bad} cannot be claimed" in caplog.text
    monkeypatch.setattr(read_sql, "with_switches", read)
    assert submission.transmit_oldest("paper", now=datetime.now(UTC) + timedelta(seconds=3))
    assert Order.objects.get(pk=bad).status == "FILLED"


@pytest.mark.parametrize(
    ("_case", "due", "seconds", "done", "asked"),
    [
        ("nothing is due", 0, 0, 0, 0),
        ("one item", 1, 0, 1, 0),
        ("of several, another thread is told", 5, 0, 5, 1),
        ("its turn is over: the rest is looked at anew", 5, 0.3, 2, 1),
    ],
)
def test_a_thread_works_while_its_turn_lasts(_case, due, seconds, done, asked):
    left, again = [due], []

    def step(account, *, now):
        if not left[0]:
            return False
        time.sleep(seconds)
        left[0] -= 1
        return True

    due_work.work_off("paper", step, again=again.append)

    assert (due - left[0], len(again)) == (done, asked)
