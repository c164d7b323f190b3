"""A process that is paused, or whose neighbour is, goes on: a pause is no death."""

import os
import signal
import time
from contextlib import contextmanager

from execution_site.processes.worker import WATCH_SECONDS
from tests.chaos.signals import body, post_until_answered

PAUSE_SECONDS = 25  # longer than a worker bears to hear nothing


@contextmanager
def paused(site, role):
    """Stop a process for a while."""
    pid = site.pid(role)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def restarts(site, role):
    query = "SELECT pid, restarts FROM execution_site_processstatus WHERE name = %s"
    return site.sql(query, [role])[0]


def assert_trades(site, key, name):
    """An order is taken, sent and filled."""
    with site.client(key) as client:
        answer = post_until_answered(client, body(name, strategy=name))
    assert answer.status_code == 202
    order = answer.json()["order"]["id"]
    site.wait_for(f"SELECT status FROM orders_order WHERE id = {order}", expected="FILLED")


def test_a_worker_that_was_paused_stays(site, trade_key):
    before = restarts(site, "worker")
    with paused(site, "worker"):
        time.sleep(PAUSE_SECONDS)
    time.sleep(3 * WATCH_SECONDS)

    assert restarts(site, "worker") == before
    assert_trades(site, trade_key, "paused-worker")


def test_a_worker_needs_no_beat(site, trade_key):
    before = restarts(site, "worker")
    with paused(site, "beat"):
        time.sleep(PAUSE_SECONDS)
        assert restarts(site, "worker") == before
        assert_trades(site, trade_key, "no-beat")
