"""What a person asks for in an emergency, on the running site, while its processes are killed.

In the suite a few times; FLATTENS=50 KILLS_SECONDS=20 is the long form. Figures are printed.
"""

import contextlib
import itertools
import os
import random
import time

import httpx
import pytest

from tests.chaos.crowd import load
from tests.chaos.signals import assert_consistent

pytestmark = pytest.mark.usefixtures("market_is_back")

FLATTENS = int(os.environ.get("FLATTENS", "2"))
KILLS_SECONDS = float(os.environ.get("KILLS_SECONDS", "6"))
SENDERS = 8
CONVERGES_WITHIN = 90
HELD = """
SELECT coalesce(sum(quantity), 0) FROM portfolio_position WHERE strategy = %s
"""
OPEN = """
SELECT count(*) FROM orders_order WHERE strategy = %s
  AND status NOT IN ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'FAILED')
"""
ALERTS = """
SELECT data->>'problem' FROM execution_site_event
WHERE type = 'reconciliation' AND data->>'strategy' = %s AND data ? 'close'
"""
_runs = itertools.count()


def ask(client, path, body, key, *, seconds=120):
    """Ask until it is answered, with one key, as a client that loses answers does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = client.post(
                f"/api/v1/{path}", json=body, headers={"Idempotency-Key": key}, timeout=10
            )
        except httpx.TransportError:
            time.sleep(0.2)
            continue
        if answer.status_code != 503:
            return answer
        time.sleep(0.2)
    raise AssertionError(f"{path} was not answered in {seconds} s")


def settled(site, strategy):
    """Wait until the strategy is flat and nothing of it works; return the seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < CONVERGES_WITHIN:
        held, working = site.sql(HELD, [strategy])[0][0], site.sql(OPEN, [strategy])[0][0]
        if not held and not working:
            return time.monotonic() - began
        time.sleep(0.2)
    return None


def ends_as_done(client, action, *, seconds=30):
    """Tell whether the action says that it is done, a look of its workers after it is so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            answer = client.get(f"/api/v1/actions/{action}")
            if answer.status_code == 200 and answer.json()["status"] == "DONE":
                return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("number", range(FLATTENS))
def test_flattening_under_load_ends_flat_while_web_and_worker_are_killed(site, trade_key, number):
    strategy = f"flat-{next(_runs)}"
    scope = {"strategy": strategy}
    wanted = {"active": True, "scope": scope, "flatten": True, "reason": "a drill"}
    killed = []
    with site.client(trade_key) as client:
        with load(site, trade_key, strategy, senders=SENDERS):
            ends = time.monotonic() + KILLS_SECONDS
            strikes = time.monotonic() + random.uniform(0.2, 0.6) * KILLS_SECONDS
            answer = None
            while time.monotonic() < ends:
                role = random.choice(["web", "worker"])
                if site.states()[role][1] is not None:  # not while it is being started again
                    killed.append((role, site.kill(role)))
                if answer is None and time.monotonic() >= strikes:
                    answer = ask(client, "system/kill-switch", wanted, f"kill-{strategy}")
                time.sleep(random.uniform(0.5, 2.0))
            if answer is None:
                answer = ask(client, "system/kill-switch", wanted, f"kill-{strategy}")
            for role, pid in dict(killed).items():
                site.wait_until_back(role, killed=pid, seconds=60)
        took = settled(site, strategy)
        (alerts,) = [[row[0] for row in site.sql(ALERTS, [strategy])]]
        ended = took is not None and ends_as_done(client, answer.json()["action"]["id"])
        ask(
            client,
            "system/kill-switch",
            {"active": False, "scope": scope, "reason": "over"},
            f"release-{strategy}",
        )

    print(f"{strategy}: {len(killed)} kills, flat after {took} s, alerts: {alerts}")
    assert answer.status_code == 200
    assert took is not None or alerts, "held, and nobody was told why"
    if took is not None:
        assert ended, "flat, and the action is not done"
    assert_consistent(site)


def _rest(client, strategy, number):
    answer = ask(
        client,
        "signals",
        {
            "signal_id": f"{strategy}-{number}",
            "strategy": strategy,
            "symbol": "EURUSD",
            "action": "BUY",
            "quantity": "1000",
            "order_type": "LIMIT",
            "limit_price": "0.5",
        },
        "",
    )
    return answer.json()["order"]["id"]


PATHS = ["modify", "cancel", "cancel-all", "kill-switch"]


@pytest.mark.parametrize("path", PATHS)
def test_what_was_answered_outlives_the_database_server(site, trade_key, path):
    """PostgreSQL is killed as soon as the answer is there."""
    strategy = f"disk-{next(_runs)}"
    scope = {"strategy": strategy}
    with site.client(trade_key) as client:
        order = _rest(client, strategy, 1)
        site.wait_for(
            f"SELECT status IN ('ACCEPTED', 'SUBMITTED') FROM orders_order WHERE id = {order}"
        )
        asked, body = {
            "modify": (f"orders/{order}/modify", {"quantity": "2000"}),
            "cancel": (f"orders/{order}/cancel", {}),
            "cancel-all": ("orders/cancel-all", scope),
            "kill-switch": (
                "system/kill-switch",
                {"active": True, "scope": scope, "cancel_open": True, "reason": "a drill"},
            ),
        }[path]
        answer = ask(client, asked, body, f"{path}-{strategy}")
        pid = site.kill("postgres")
        site.wait_until_back("postgres", killed=pid, seconds=60)
        ended = {
            "modify": f"SELECT quantity = 2000 FROM orders_order WHERE id = {order}",
        }.get(path, f"SELECT status = 'CANCELLED' FROM orders_order WHERE id = {order}")
        site.wait_for(ended, seconds=30)
        again = ask(client, asked, body, f"{path}-{strategy}")
        ask(client, "orders/cancel-all", scope, f"clear-{strategy}")
        if path == "kill-switch":
            release = {"active": False, "scope": scope, "reason": "over"}
            ask(client, "system/kill-switch", release, f"release-{strategy}")

    assert answer.status_code in {200, 202}
    assert again.status_code in {200, 202}
    assert again.headers["Idempotent-Replayed"] == "true"
    assert_consistent(site)
