"""Groups on the whole running site: over REST, while the worker is killed again and again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.signals import SENT_TWICE, UNLIKE_THE_VENUE

pytestmark = pytest.mark.usefixtures("market_is_back")

GROUPS, KILLS, SENDERS = 40, 2, 4
STRATEGY = "condors"
LEGS = ((-500, "put", "BUY"), (-250, "put", "SELL"), (250, "call", "SELL"), (500, "call", "BUY"))
MOVING = f"""
SELECT count(*) FROM orders_ordergroup WHERE due_at IS NOT NULL AND strategy LIKE '{STRATEGY}%'
"""
ENDS = """
SELECT g.status, g.failure, array_agg(p.quantity::int ORDER BY p.quantity)
FROM orders_ordergroup g JOIN portfolio_position p ON p.strategy = g.strategy
WHERE g.strategy LIKE %s GROUP BY g.id ORDER BY g.id
"""


@pytest.fixture
def condor(site, trade_key):
    """Return the legs of a condor around the money, once the chain is quoted and valued."""
    with site.client(trade_key) as client:
        chain = site.chain(client)
    rows = {float(row["strike"]): row for row in chain["strikes"]}
    forward = next(
        float(row["call"]["greeks"]["forward"]) for row in rows.values() if row["call"]["greeks"]
    )
    middle = round(forward / 50) * 50
    return [
        {"symbol": rows[middle + away][right]["symbol"], "action": action, "quantity": "65"}
        for away, right, action in LEGS
    ]


def group(legs, number, **values):
    return {
        "signal_id": f"{STRATEGY}/{number}",
        "strategy": f"{STRATEGY}.{number}",
        "account": "paper",
        "type": "IRON_CONDOR",
        "legs": legs,
    } | values


def post(client, path, body):
    """Send it as a careful client does: the same key again until there is an answer."""
    for _ in range(60):
        answer = client.post(path, json=body)
        if answer.status_code < 500:
            return answer
        time.sleep(0.5)
    raise AssertionError(answer.text)


@pytest.mark.timeout(400)
def test_groups_converge_while_workers_are_killed(site, trade_key, condor):
    with site.client(trade_key) as client, ThreadPoolExecutor(SENDERS) as threads:
        done = threading.Event()

        def send(number):
            return post(client, "/api/v1/groups", group(condor, number))

        def kill_workers():
            for _ in range(KILLS):
                killed = site.kill("worker")
                site.wait_until_back("worker", killed=killed, seconds=60)
                time.sleep(0.5)
            done.set()

        killing = threading.Thread(target=kill_workers)
        killing.start()
        answers = list(threads.map(send, range(GROUPS)))
        killing.join()

    assert done.is_set()
    assert {answer.status_code for answer in answers} == {202}
    site.wait_for(MOVING, expected=0, seconds=120)
    ends = site.sql(ENDS, [f"{STRATEGY}.%"])
    assert len(ends) == GROUPS
    for status, failure, held in ends:
        if status == "FILLED":
            assert held == [-65, -65, 65, 65], (status, failure)
        else:
            assert status in {"CLOSED", "CANCELLED", "REJECTED"}, (status, failure)
            assert set(held) == {0}, (status, failure)
    assert site.sql(SENT_TWICE) == []
    assert site.sql(UNLIKE_THE_VENUE) == []


def test_one_request_closes_the_whole(site, trade_key, condor):
    with site.client(trade_key) as client:
        answer = post(client, "/api/v1/groups", group(condor, "exit"))
        url = answer.headers["Location"]
        wait(client, url, "FILLED")

        assert client.post(f"{url}/exit", json={"reason": "out"}).status_code == 202

        closed = wait(client, url, "CLOSED")
        assert {leg["quantity"] for leg in closed["pnl"]["legs"]} == {"0"}
        assert closed["held"] is None
        again = client.post(f"{url}/exit", json={"reason": "out"})
        assert (again.status_code, again.json()["code"]) == (409, "group_not_exitable")


def test_what_is_wrong_with_a_group_is_said_by_field(site, trade_key, condor):
    with site.client(trade_key) as client:
        cases = [
            (group(condor[:1], "bad"), "legs"),
            (group(condor, "bad", type="BUTTERFLY"), "type"),
            (group([condor[0] | {"quantity": "0"}, *condor[1:]], "bad"), "legs"),
            (group([condor[0] | {"symbol": "NOPE"}, *condor[1:]], "bad"), "legs.0.symbol"),
            (group(condor, "bad", protect={"stop_loss": "1"}), "protect"),
            (group(condor, "bad", policy={"on_leg_failure": "PRAY"}), "policy"),
            (group(condor, "bad", policy={"leg_timeout_seconds": 0}), "policy"),
            (group(condor, "bad", surprise=1), "surprise"),
            (group(condor, "bad", strategy="EXTERNAL"), "strategy"),
            (group([condor[0], condor[0], *condor[2:]], "bad"), "legs"),
        ]
        for body, field in cases:
            answer = client.post("/api/v1/groups", json=body)
            assert answer.status_code == 400, (field, answer.text)
            named = [error["field"] for error in answer.json()["errors"]]
            assert any(name.startswith(field) for name in named), (field, answer.text)
        assert client.get("/api/v1/groups/999999").status_code == 404


def wait(client, url, status):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = client.get(url).json()
        if found["status"] == status:
            return found
        time.sleep(0.1)
    raise AssertionError(found)
