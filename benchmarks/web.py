"""G7 to G9: the whole request, the hand-over to the worker, and the way to a visible position."""

import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks import servers, site, stored
from benchmarks.measure import Row, alternate

SECONDS = 4.0
WARM_SECONDS = 1.0
HOPS = 100
PACE_SECONDS = 0.02


def whole_request(_directory: Path) -> list[Row]:
    """Measure G7."""
    servers.show("G7 whole request")
    with site.web() as port, site.floor() as (floor_port, token):
        ours = _poster(port, _key(), connections=16, account=servers.ACCOUNTS[0], expected="202")
        floor = _poster(floor_port, f"Token {token}", connections=16, expected="201")
        measured = alternate(lambda: ours()["rate"], lambda: floor()["rate"])
    what = "POST /signals, 16 connections"
    limits = (
        "one Python process for both; ours judges, writes five rows and their proofs where the"
        " floor inserts one"
    )
    return [Row("G7", what, "/s", "DRF, one insert", 1.0, 2.5, False, *measured, limits=limits)]


def hop(_directory: Path) -> list[Row]:
    """Measure G8."""
    servers.show("G8 hand-over to the worker")
    stored.nothing_waits()
    celery = [site.BIN / "celery", "-A", "benchmarks.celery_floor", "worker", "-P", "threads"]
    celery += ["-c", "8", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with ExitStack() as stack:
        for name in ("worker", "beat"):
            stack.enter_context(site.role(name))
        stack.enter_context(site.process([str(part) for part in celery]))
        _until_they_work()
        measured = alternate(lambda: _our_hops(HOPS), lambda: _bare_hops(HOPS))
    what = "answered to adapter called, p50"
    limits = "the grant is a durable transaction between the hop and the call"
    return [Row("G8", what, "ms", "Celery's bare hop", 1.5, 1.1, True, *measured, limits=limits)]


def visible(_directory: Path) -> list[Row]:
    """Measure G9."""
    servers.show("G9 to a visible position")
    stored.nothing_waits()
    with ExitStack() as stack:
        port = stack.enter_context(site.web())
        floor_port, token = stack.enter_context(site.floor())
        for name in ("worker", "beat", "sealer"):
            stack.enter_context(site.role(name))
        time.sleep(5)
        ours: dict[str, Any] = {"account": servers.ACCOUNTS[1], "prefer": "wait=10"}
        ours["expected"] = "200"
        one = _poster(port, _key(), connections=1, **ours)
        floor_one = _poster(floor_port, f"Token {token}", connections=1, expected="201")
        eight = _poster(port, _key(), connections=8, **ours)
        floor_eight = _poster(floor_port, f"Token {token}", connections=8, expected="201")
        latency = alternate(lambda: one()["p50_ms"], lambda: floor_one()["p50_ms"])
        rate = alternate(lambda: eight()["rate"], lambda: floor_eight()["rate"])
    floor = "DRF, one insert"
    path = "four processes share two cores: web, worker, sealer and PostgreSQL"
    return [
        Row(
            "G9",
            "POST to filled, visible position, p50",
            "ms",
            floor,
            3.4,
            2.7,
            True,
            *latency,
            limits=path,
        ),
        Row(
            "G9",
            "orders to booked fills, 8 clients",
            "/s",
            floor,
            0.55,
            2.2,
            False,
            *rate,
            limits=path,
        ),
    ]


def _poster(port: int, authorization: str, *, expected: str, **how: Any) -> Any:
    """Return what posts for a while and refuses to count anything but the expected answer."""

    def post() -> dict[str, Any]:
        stored.nothing_waits()
        servers.quote()
        site.post(port, authorization, seconds=WARM_SECONDS, **how)
        said = site.post(port, authorization, seconds=SECONDS, **how)
        if set(said["answers"]) != {expected}:
            raise RuntimeError(f"not all were answered {expected}: {said}")
        return said | {"rate": said["count"] / SECONDS}

    return post


def _key() -> str:
    from execution_site.demo import seed
    from orders.models import ApiClient
    from orders.models.client import issue_key

    client = ApiClient.objects.get(name=seed.STRATEGY_CLIENT)
    return f"Api-Key {issue_key(client, scopes=['read', 'trade'])[1]}"


def _until_they_work() -> None:
    """Wait until both workers have taken something."""
    deadline = time.monotonic() + site.READY_SECONDS
    for hops in (_our_hops, _bare_hops):
        while True:
            try:
                hops(3)
                break
            except statistics.StatisticsError:
                if time.monotonic() > deadline:
                    raise


def _our_hops(count: int) -> float:
    """Return the median milliseconds from a signal's answer to its arrival at the adapter."""
    from brokers.models import PaperOrder
    from execution_site.demo import seed
    from orders.intake.requests import SignalRequest
    from orders.intake.submit_signal import submit_signal
    from orders.models import Action, ApiClient, Order

    servers.quote()
    client = ApiClient.objects.get(name=seed.STRATEGY_CLIENT)
    answered: dict[int, float] = {}
    for n in range(count):
        request = SignalRequest(
            signal_id=f"hop-{time.time_ns()}-{n}",
            strategy="hop",
            account=servers.ACCOUNTS[2],
            symbol=servers.SYMBOL,
            action=Action.BUY,
            quantity=Decimal(1000),
            body={"n": n},
        )
        order_id = submit_signal(request, client=client, now=datetime.now(UTC)).order_id
        answered[order_id or 0] = time.time()
        time.sleep(PACE_SECONDS)
    time.sleep(1)
    names = dict(Order.objects.filter(pk__in=answered).values_list("client_order_id", "pk"))
    arrived = PaperOrder.objects.filter(client_order_id__in=names)
    return statistics.median(
        (order.received_at.timestamp() - answered[names[order.client_order_id]]) * 1000
        for order in arrived
    )


def _bare_hops(count: int) -> float:
    """Return the median milliseconds from the call that enqueues to the task's start."""
    from benchmarks.celery_floor import _redis, started

    _redis.delete("floor:started")
    asked = {}
    for n in range(count):
        asked[n] = time.time()
        started.delay(n)
        time.sleep(PACE_SECONDS)
    time.sleep(1)
    lines: Any = _redis.lrange("floor:started", 0, -1)
    noted = [line.decode().split() for line in lines]
    return statistics.median((float(at) - asked[int(n)]) * 1000 for n, at in noted)
