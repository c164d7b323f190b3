"""`Prefer: wait`: the answer is the execution, and the thread pool does not wait with it."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from tests.chaos.signals import body

CLIENTS = 20  # more than there are threads
_numbers = count()


@pytest.fixture
def post(site, trade_key):
    """Return what posts a signal that waits."""
    with site.client(trade_key) as client:

        def send(seconds, key=None, **values):
            wanted = body(key or f"wait-{next(_numbers)}", strategy="wait") | values
            return client.post(
                "/api/v1/signals", json=wanted, headers={"Prefer": f"wait={seconds}"}
            )

        yield send


def test_a_market_order_is_answered_by_its_execution(site, post, trade_key):
    answer = post(10)

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=10")
    assert answer.json()["status"] == "FILLED"
    assert answer.headers["content-length"] == str(len(answer.content))
    with site.client(trade_key) as client:
        held = client.get("/api/v1/positions", params={"strategy": "wait"}).json()["results"]
        again = client.get(f"/api/v1/executions/{answer.json()['order_id']}")
    assert held[0]["quantity"] != "0"
    assert again.json() == answer.json()


def test_a_repeated_signal_gets_the_execution_again(post):
    first, second = (post(10, key="wait-once") for _ in range(2))

    assert second.status_code == 200
    assert second.json() == first.json()


def test_an_order_that_rests_is_answered_when_the_time_is_over(post):
    began = time.monotonic()
    answer = post(1, order_type="LIMIT", limit_price="0.5")

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
    assert time.monotonic() - began >= 1
    assert answer.json()["order"]["status"] == "PENDING"  # as it was accepted


def test_a_refusal_does_not_wait(post):
    began = time.monotonic()

    assert post(10, quantity="0.5").status_code == 422
    assert time.monotonic() - began < 5


def test_those_who_wait_take_no_thread_from_others(site, post, trade_key):
    resting = {"order_type": "LIMIT", "limit_price": "0.5"}
    with ThreadPoolExecutor(CLIENTS) as threads, site.client(trade_key) as client:
        waiting = [threads.submit(post, 5, **resting) for _ in range(CLIENTS)]
        time.sleep(1)
        began = time.monotonic()
        assert client.get("/api/v1/orders").status_code == 200
        took = time.monotonic() - began
        assert not any(one.done() for one in waiting)
        assert {one.result().status_code for one in waiting} == {202}

    assert took < 2
