"""A worker that was stopped goes on: few messages wait for it, and it sends the oldest first.

How long that takes is the machine's: it is printed, not asserted.

In the suite a short pause; PAUSE=14 LOAD=30 is the long form. Figures are printed.
"""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import redis

from execution_site.processes.embedded.runtime import Runtime
from tests.chaos.crowd import load
from tests.chaos.signals import assert_consistent

PAUSE = float(os.environ.get("PAUSE", "5"))
LOAD = float(os.environ.get("LOAD", "14"))
SENDERS = int(os.environ.get("SENDERS", "8"))
EVERY = 0.25
OLDEST = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8, count(*)
FROM orders_order WHERE status = 'PENDING' AND due_at <= clock_timestamp()
"""
#: How long those who came after the pause waited for their worker, at worst.
LATEST = """
SELECT coalesce(max(extract(epoch FROM claimed_at - created_at)), 0)::float8
FROM orders_order WHERE strategy = 'paused' AND created_at > %s
"""

CAME = "SELECT id FROM orders_order WHERE strategy = 'paused' ORDER BY created_at, id"
WENT = """
SELECT order_id FROM orders_submissionattempt
JOIN orders_order o ON o.id = order_id AND o.strategy = 'paused'
GROUP BY order_id ORDER BY min(granted_at)
"""


class Watch:
    """How many messages and orders wait, and how long the oldest order has, four times a second."""

    def __init__(self, site):
        self.seen = []  # seconds of the monotonic clock, messages, orders, age of the oldest
        self._site = site
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self):
        self._done.set()
        self._thread.join()

    def since(self, began):
        return [row for row in self.seen if row[0] >= began]

    def _look(self):
        queues = redis.Redis.from_url(Runtime(self._site.data_dir).environment()["REDIS_URL"])
        with self._site.connect() as database:
            while not self._done.wait(EVERY):
                names = list(queues.scan_iter(_type="list"))
                messages = sum(queues.llen(name) for name in names)
                age, orders = database.execute(OLDEST).fetchone()
                self.seen.append((time.monotonic(), messages, orders, age))


def overtaken(site):
    """Return how many places an order was sent later, at worst, than it came."""
    came = [pk for (pk,) in site.sql(CAME)]
    place = {pk: number for number, pk in enumerate(came)}
    went = [pk for (pk,) in site.sql(WENT)]
    return max(number - place[pk] for number, pk in enumerate(went))


@contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def roomy(site):
    """The demo's account with room for all that will wait."""
    limits = "UPDATE risk_risklimit SET value = %s WHERE metric = 'max_open_orders'"
    site.sql(limits, [100_000])
    yield site
    site.sql(limits, [200])


def test_what_waited_for_a_stopped_worker_is_sent_oldest_first(roomy, trade_key):
    site = roomy
    watch = Watch(site)
    with load(site, trade_key, "paused", senders=SENDERS):
        time.sleep(2)
        with stopped(site.pid("worker")):
            time.sleep(PAUSE)
        woken, woken_at = time.monotonic(), site.sql("SELECT clock_timestamp()")[0][0]
        time.sleep(LOAD - PAUSE)
    site.wait_for(
        "SELECT count(*) FROM orders_order WHERE status = 'PENDING'", expected=0, seconds=180
    )
    watch.stop()

    waits = [at for at, _, _, age in watch.since(woken) if age > 1]
    recovered = waits[-1] - woken if waits else 0
    ages = [age for *_, age in watch.seen]
    messages = [row[1] for row in watch.seen]
    backlog = max(row[2] for row in watch.seen)
    late = site.sql(LATEST, [woken_at])[0][0]
    sent = site.sql("SELECT count(*) FROM orders_order WHERE strategy = 'paused'")[0][0]
    print(
        f"stopped for {PAUSE:.0f} s under {SENDERS} clients, {sent} orders: {backlog} waited,"
        f" {max(messages)} messages at most, the oldest order waited {max(ages):.1f} s, those that"
        f" came afterwards {late:.1f} s; all was sent as it came {recovered:.1f} s after the pause"
    )
    assert backlog > 10  # else nothing was tried
    assert max(messages) <= 100  # however many orders wait
    assert overtaken(site) <= 100  # oldest first: all threads at work, and what they put off
    assert_consistent(site)
