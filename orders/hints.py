"""Hints to the workers: "look at order N". They may fail, be lost or come twice without harm.

A thread of its own gives them, so that nobody waits for Celery or Redis; what it has not given when
the process ends, the sweeper finds.
"""

import heapq
import logging
import os
import threading
import time
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution_site.bus import Circuit

logger = logging.getLogger(__name__)
_circuit = Circuit()
_waiting: SimpleQueue[tuple[float, str, int, str]] = SimpleQueue()
_giver = 0  # the process whose thread gives; a forked one starts its own
_starting = threading.Lock()


def transmit(order_id: int, account: str, *, at: datetime | None = None) -> None:
    """Hint that an order waits to be sent: now, or when its turn comes."""
    seconds = 0.0 if at is None else (at - timezone.now()).total_seconds()
    _hint("orders.transmit_order", order_id, submit_queue(account), seconds=seconds)


def look_up(order_id: int) -> None:
    """Hint that the venue should be asked about an order."""
    _hint("orders.look_up_order", order_id, "monitor")


def cancel(order_id: int, account: str) -> None:
    """Hint that a cancel waits to be sent. Cancels have queues of their own."""
    _hint("orders.cancel_order", order_id, cancel_queue(account))


def replace(order_id: int, account: str) -> None:
    """Hint that an order's new terms wait to be sent."""
    _hint("orders.replace_order", order_id, submit_queue(account))


def act_on_breaker(breaker_id: int) -> None:
    """Hint that a tripped breaker has something to do."""
    _hint("orders.act_on_breaker", breaker_id, "monitor")


def submit_queue(account: str) -> str:
    """Return the queue of an account's orders: one venue that hangs starves nobody else."""
    return f"submit.{account}"


def cancel_queue(account: str) -> str:
    """Return the queue of an account's cancels."""
    return f"cancel.{account}"


def _hint(task: str, order_id: int, queue: str, *, seconds: float = 0.0) -> None:
    global _giver  # noqa: PLW0603 one thread a process
    if _giver != os.getpid():
        with _starting:
            if _giver != os.getpid():
                threading.Thread(target=_give, name="hints", daemon=True).start()
                _giver = os.getpid()
    _waiting.put((time.monotonic() + max(0.0, seconds), task, order_id, queue))


def _give() -> None:
    later: list[tuple[float, str, int, str]] = []
    while True:
        wait = None if not later else max(0.0, later[0][0] - time.monotonic())
        with suppress(Empty):
            heapq.heappush(later, _waiting.get(timeout=wait))
        while later and later[0][0] <= time.monotonic():
            _send(*heapq.heappop(later)[1:])


def _send(task: str, order_id: int, queue: str) -> None:
    if not _circuit.allows():
        return
    try:
        current_app.send_task(
            task,
            kwargs={"order_id": order_id},
            queue=queue,
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, RedisError, OSError) as e:
        _circuit.trip()
        logger.warning("hint %s for order %s not given: %s", task, order_id, e)
