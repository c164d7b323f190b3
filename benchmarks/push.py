"""G10: pushing to a thousand sockets, against Channels' group_send and a bare broadcast."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import servers, site
from benchmarks.measure import Row, alternate
from benchmarks.web import _key
from execution_site.processes.embedded.runtime import free_port

SOCKETS = 1000
BURST = 20
GREETING = {"/": "hello", "/ws/stream": "snapshot"}
PAYLOAD = json.dumps({"type": "order", "mark": "bench-mark", "text": "x" * 130})


def push(_directory: Path) -> list[Row]:
    """Measure G10."""
    servers.show("G10 push")
    with ExitStack() as stack:
        port = stack.enter_context(site.web())
        stack.enter_context(site.role("sealer"))
        bare, layer = free_port(), free_port()
        stack.enter_context(site.process([sys.executable, "-m", "benchmarks.push_bare", bare]))
        command = [sys.executable, "-m", "uvicorn", "benchmarks.push_layer:application"]
        stack.enter_context(site.process([*command, "--port", layer, "--lifespan", "off"]))
        time.sleep(4)
        key = _key()

        def ours(sockets: int, messages: int) -> dict[str, Any]:
            return _round(port, _events, sockets, messages, path="/ws/stream", key=key)

        def bare_one(sockets: int, messages: int) -> dict[str, Any]:
            return _round(bare, _publish, sockets, messages)

        def layered(sockets: int, messages: int) -> dict[str, Any]:
            return _round(layer, _group_send, sockets, messages)

        many = (SOCKETS, BURST)
        first = alternate(lambda: ours(*many)["rate"], lambda: layered(*many)["rate"])
        second = alternate(lambda: ours(*many)["rate"], lambda: bare_one(*many)["rate"])
        single = alternate(lambda: _single(ours), lambda: _single(bare_one))
    sealed = "each event is stored, sealed and chained before it is pushed; the floor only pushes"
    return [
        Row("G10", "1,000 sockets", "deliveries/s", "group_send", 5, 15, False, *first),
        Row(
            "G10",
            "1,000 sockets",
            "deliveries/s",
            "bare broadcast",
            0.4,
            0.85,
            False,
            *second,
            limits=sealed,
        ),
        Row(
            "G10",
            "one socket, p50",
            "ms",
            "bare broadcast",
            2,
            1.3,
            True,
            *single,
            limits=sealed,
        ),
    ]


def _single(one_round: Callable[[int, int], dict[str, Any]]) -> float:
    """Return the median milliseconds of one message to one socket."""
    return float(one_round(1, 1)["ms"])


def _round(
    port: int,
    send: Callable[[int], None],
    sockets: int,
    messages: int,
    *,
    path: str = "/",
    key: str = "",
) -> dict[str, Any]:
    """Open sockets, send, and return how fast all of it arrived; none may be lost."""
    clients = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.push_clients", "--port", str(port)),
            *("--path", path, "--authorization", key, "--greeting", GREETING[path]),
            *("--sockets", str(sockets), "--messages", str(messages)),
        ],
        cwd=site.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if clients.stdout is None or clients.stdout.readline() != "ready\n":
        raise RuntimeError("the sockets could not be opened")
    started = time.time()
    send(messages)
    said = json.loads(clients.stdout.readline())
    clients.wait()
    if said["count"] < sockets * messages:
        raise RuntimeError(f"{sockets * messages - said['count']} of {messages} x {sockets} lost")
    seconds = said["last"] - started
    return {"rate": sockets * messages / seconds, "ms": seconds * 1000}


def _events(count: int) -> None:
    from django.db import transaction

    from execution_site.floor.events import EventType, record_event

    with transaction.atomic():
        for _ in range(count):
            data = {"mark": "bench-mark", "text": "x" * 130}
            record_event(EventType.ORDER, data, account=servers.ACCOUNTS[0], at=datetime.now(UTC))


def _publish(count: int) -> None:
    import redis

    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    for _ in range(count):
        client.publish("bench:push", PAYLOAD)


def _group_send(count: int) -> None:
    from channels_redis.pubsub import RedisPubSubChannelLayer

    async def send() -> None:
        layer = RedisPubSubChannelLayer(hosts=[os.environ["REDIS_URL"]])
        for _ in range(count):
            await layer.group_send("bench", {"type": "told", "text": PAYLOAD})

    asyncio.run(send())
