"""Processes are killed in the middle of the work. Nothing is sent twice, nothing is lost."""

import itertools
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.signals import assert_consistent, body, post_until_answered

pytestmark = pytest.mark.usefixtures("market_is_back")

SIGNALS = 200
SENDERS = 8
_runs = itertools.count()

ENDS = """
SELECT o.status, p.id IS NOT NULL, CASE o.status WHEN 'FAILED' THEN o.status_reason ELSE '' END
FROM orders_order o LEFT JOIN brokers_paperorder p ON p.client_order_id = o.client_order_id
WHERE o.strategy = %s
"""


def test_fifty_posts_of_one_key_make_one_order_while_workers_are_killed(site, trade_key):
    wanted = body(f"fifty-{next(_runs)}")
    with site.client(trade_key) as client, ThreadPoolExecutor(50) as threads:
        answers = [threads.submit(post_until_answered, client, wanted) for _ in range(50)]
        site.kill("worker")
        answers = [answer.result() for answer in answers]
        other = client.post("/api/v1/signals", json=wanted | {"quantity": "2000"})

    assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
    assert sum("idempotent-replayed" in a.headers for a in answers) == 49
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    count = "SELECT count(*) FROM orders_signal WHERE signal_id = %s"
    assert site.sql(count, [wanted["signal_id"]]) == [(1,)]
    assert_consistent(site)


def test_of_two_exits_at_once_one_closes_and_one_is_refused(site, trade_key):
    for run in range(5):
        strategy = f"exits-{next(_runs)}"
        with site.client(trade_key) as client, ThreadPoolExecutor(2) as threads:
            entry = post_until_answered(client, body("in", strategy=strategy))
            assert entry.status_code == 202
            query = f"SELECT quantity FROM portfolio_position WHERE strategy = '{strategy}'"
            site.wait_for(query, expected=1000, seconds=20)
            exits = [
                body(f"out-{n}", strategy=strategy, action="EXIT", quantity=None) for n in "ab"
            ]
            answers = list(threads.map(lambda s: post_until_answered(client, s), exits))

        assert sorted(a.status_code for a in answers) == [202, 422], run
        refused = next(a for a in answers if a.status_code == 422)
        assert refused.json()["errors"][0]["code"] == "nothing_to_close"
        site.wait_for(query, expected=0, seconds=20)


#: Without the market loop quotes grow old, and after a while nobody watches the breakers.
REFUSED_WHILE_AWAY = {"market": {"quote_stale", "breaker"}}


@pytest.mark.parametrize("role", ["worker", "market", "sealer", "valkey", "postgres"])
def test_a_process_killed_in_the_middle_of_200_signals(site, trade_key, role):
    run = f"{role}-{next(_runs)}"
    signals = [
        body(f"{run}-{n}", strategy=run, symbol=random.choice(["EURUSD", "GBPUSD"]))
        for n in range(SIGNALS)
    ]
    sent = itertools.count()
    killed = threading.Event()

    def send(client, wanted):
        if next(sent) == SIGNALS // 2:
            site.kill(role)
            killed.set()
        return post_until_answered(client, wanted)

    with site.client(trade_key) as client, ThreadPoolExecutor(SENDERS) as threads:
        answers = list(threads.map(lambda s: send(client, s), signals))

    assert killed.is_set()
    assert {a.status_code for a in answers} <= {202, 422}
    accepted = [json.loads(a.text)["order"]["id"] for a in answers if a.status_code == 202]
    refusals = {e["code"] for a in answers if a.status_code == 422 for e in a.json()["errors"]}
    assert refusals <= REFUSED_WHILE_AWAY.get(role, {"quote_stale"})
    assert len(accepted) >= SIGNALS // 2
    site.wait_for(
        f"SELECT count(*) FROM orders_order WHERE strategy = '{run}'", expected=len(accepted)
    )
    assert_consistent(site)
    ends = site.sql(ENDS, [run])
    assert set(ends) <= {("FILLED", True, ""), ("FAILED", False, "proved_absent")}
    absent = sum(not arrived for _, arrived, _ in ends)
    print(f"{role}: {len(accepted)} orders, {absent} cut off before the venue and proved absent")
    assert absent <= SENDERS


@pytest.mark.parametrize(
    ("_case", "number"), [("killed", signal.SIGKILL), ("hanging", signal.SIGSTOP)]
)
def test_intake_answers_while_valkey_is_down(site, trade_key, _case, number):
    pid = site.pid("valkey")
    took = []
    os.kill(pid, number)
    try:
        with site.client(trade_key) as client:
            for _ in range(20):
                began = time.monotonic()
                answer = client.post("/api/v1/signals", json=body(f"down-{next(_runs)}"))
                took.append(time.monotonic() - began)
                assert answer.status_code == 202
    finally:
        if number == signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)

    print(f"{_case}: slowest answer {max(took) * 1000:.0f} ms")
    assert_consistent(site)
