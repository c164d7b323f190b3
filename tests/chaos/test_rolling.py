"""Web and worker are asked to stop, one after the other, under load: nobody is refused."""

import os
import signal
import threading
import time

import httpx
import pytest

from tests.chaos.signals import SENT_TWICE, UNLIKE_THE_VENUE, body

pytestmark = pytest.mark.usefixtures("market_is_back")

SENDERS = 4
PACE_SECONDS = 0.1
AFTER_SECONDS = 2.0


def send(site, key, sender, stop, answers, refused):
    """Post signals, each second one on a connection of its own; note what is not answered."""
    count = 0
    kept = site.client(key)
    while not stop.is_set():
        count += 1
        client = kept if count % 2 else site.client(key)
        try:
            wanted = body(f"rolling-{sender}-{count}", strategy="rolling")
            answers.append(client.post("/api/v1/signals", json=wanted).status_code)
        except httpx.TransportError as e:
            refused.append(repr(e))
        time.sleep(PACE_SECONDS)


def test_a_rolling_restart_under_load_refuses_and_loses_nothing(site, trade_key):
    stop, answers, refused = threading.Event(), [], []
    threads = [
        threading.Thread(target=send, args=[site, trade_key, n, stop, answers, refused])
        for n in range(SENDERS)
    ]
    for thread in threads:
        thread.start()
    try:
        for role in ("web", "worker"):
            pid = site.pid(role)
            os.kill(pid, signal.SIGTERM)
            site.wait_until_back(role, killed=pid, seconds=60)
            time.sleep(AFTER_SECONDS)
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert refused == []
    assert set(answers) == {202}
    filled = "SELECT count(*) FROM orders_order WHERE strategy = 'rolling' AND status = 'FILLED'"
    site.wait_for(filled, expected=len(answers), seconds=60)
    assert site.sql(SENT_TWICE) == []
    assert site.sql(UNLIKE_THE_VENUE) == []
