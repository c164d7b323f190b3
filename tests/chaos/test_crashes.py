"""Processes are killed in the middle of the work. Nothing is sent twice, nothing is lost."""

import itertools
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

pytestmark = pytest.mark.usefixtures("market_is_back")

SIGNALS = 200
SENDERS = 8
RETRY_SECONDS = 60
_runs = itertools.count()

SETTLED = """
SELECT NOT EXISTS (SELECT 1 FROM orders_order
                   WHERE status IN ('PENDING', 'SUBMITTING', 'IN_DOUBT')
                      OR (order_type = 'MARKET' AND status NOT IN
                          ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'FAILED')))
"""
SENT_TWICE = """
SELECT client_order_id, count(*) FROM brokers_paperorder GROUP BY 1 HAVING count(*) > 1
"""
SENT_WITHOUT_LEAVE = """
SELECT p.id FROM brokers_paperorder p
LEFT JOIN orders_order o ON o.client_order_id = p.client_order_id
LEFT JOIN orders_submissionattempt a ON a.order_id = o.id
WHERE a.id IS NULL
"""
UNLIKE_THE_VENUE = """
SELECT o.id, o.status, o.filled_quantity, p.status, p.filled_quantity
FROM orders_order o JOIN brokers_paperorder p ON p.client_order_id = o.client_order_id
WHERE o.filled_quantity <> p.filled_quantity
"""
ENDS = """
SELECT o.status, p.id IS NOT NULL, CASE o.status WHEN 'FAILED' THEN o.status_reason ELSE '' END
FROM orders_order o LEFT JOIN brokers_paperorder p ON p.client_order_id = o.client_order_id
WHERE o.strategy = %s
"""
POSITIONS = """
SELECT p.id FROM portfolio_position p
JOIN (SELECT connection_id, strategy, instrument_id,
             sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS held
      FROM orders_fill GROUP BY 1, 2, 3) f USING (connection_id, strategy, instrument_id)
WHERE p.quantity <> f.held
"""


def body(key, *, strategy="crash", symbol="EURUSD", action="BUY", quantity="1000"):
    wanted = {"signal_id": key, "strategy": strategy, "symbol": symbol, "action": action}
    return wanted | ({"quantity": quantity} if quantity else {})


def post_until_answered(client, wanted):
    """Send a signal as a careful client does: the same key again until there is an answer."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            answer = client.post("/api/v1/signals", json=wanted)
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"no answer for {wanted['signal_id']}")
        time.sleep(0.1)


def assert_consistent(site):
    """The paper ledger, joined to the attempts, is the witness."""
    site.wait_for(SETTLED, seconds=40)
    assert site.sql(SENT_TWICE) == []
    assert site.sql(SENT_WITHOUT_LEAVE) == []
    assert site.sql(UNLIKE_THE_VENUE) == []
    assert site.sql(POSITIONS) == []


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
