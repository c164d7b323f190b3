"""Invariant 5: after a kill has drained, no attempt carries an older epoch."""

import itertools
import random
import threading
import time

from tests.chaos.test_crashes import assert_consistent, body

KILLS = 20
SENDERS = 8
LATE = """
SELECT count(*) FROM orders_submissionattempt
WHERE epoch < %(epoch)s AND granted_at > %(drained)s::timestamptz
"""
SENT_WHILE_KILLED = """
SELECT count(*) FROM orders_submissionattempt
WHERE granted_at > %(drained)s::timestamptz AND granted_at < %(released)s::timestamptz
"""


def test_twenty_kills_under_load(site, trade_key):
    stop = threading.Event()
    numbers = itertools.count()

    def send():
        with site.client(trade_key) as client:
            while not stop.is_set():
                client.post("/api/v1/signals", json=body(f"k-{next(numbers)}", strategy="kill"))

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    took = []
    try:
        with site.client(trade_key) as client:
            for _ in range(KILLS):
                time.sleep(random.uniform(0.1, 0.5))
                began = time.monotonic()
                answer = switch(client, active=True)
                took.append(time.monotonic() - began)
                kill = answer["kill_switch"]
                assert kill["active"]
                assert kill["drained_at"] >= kill["engaged_at"]
                time.sleep(0.2)
                released = site.sql("SELECT clock_timestamp()")[0][0]
                facts = {
                    "epoch": answer["epoch"],
                    "drained": kill["drained_at"],
                    "released": released,
                }
                assert site.sql(LATE, facts) == [(0,)]
                assert site.sql(SENT_WHILE_KILLED, facts) == [(0,)]
                switch(client, active=False)
    finally:
        stop.set()
        for sender in senders:
            sender.join()

    sent = site.sql("SELECT count(*) FROM orders_order WHERE strategy = 'kill'")[0][0]
    print(f"{KILLS} kills, {sent} orders, slowest {max(took) * 1000:.0f} ms")
    assert sent > KILLS
    assert_consistent(site)


def switch(client, *, active):
    wanted = {"active": active, "reason": "a drill"}
    answer = client.post("/api/v1/system/kill-switch", json=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()
