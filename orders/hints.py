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
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution_site.bus import Circuit

logger = logging.getLogger(__name__)
_circuit = Circuit()
_waiting: SimpleQueue["_Hint"] = SimpleQueue()
_giver = 0  # the process whose thread gives; a forked one starts its own
_starting = threading.Lock()


@dataclass(frozen=True, slots=True, order=True)
class _Hint:
    """What is to be said, and when: `at` is seconds of the monotonic clock."""

    at: float
    task: str = field(compare=False)
    named: dict[str, int] = field(compare=False)
    queue: str = field(compare=False)


def transmit(order_id: int, account: str, *, at: datetime | None = None) -> None:
    """Hint that an order waits to be sent: now, or when its turn comes."""
    seconds = 0.0 if at is None else (at - timezone.now()).total_seconds()
    _hint("orders.transmit_order", submit_queue(account), seconds=seconds, order_id=order_id)


def look_up(order_id: int) -> None:
    """Hint that the venue should be asked about an order."""
    _hint("orders.look_up_order", "monitor", order_id=order_id)


def cancel(order_id: int, account: str) -> None:
    """Hint that a cancel waits to be sent. Cancels have queues of their own."""
    _hint("orders.cancel_order", cancel_queue(account), order_id=order_id)


def replace(order_id: int, account: str) -> None:
    """Hint that an order's new terms wait to be sent."""
    _hint("orders.replace_order", submit_queue(account), order_id=order_id)


def act_on_breaker(breaker_id: int) -> None:
    """Hint that a tripped breaker has something to do."""
    _hint("orders.act_on_breaker", "monitor", breaker_id=breaker_id)


def advance_group(group_id: int) -> None:
    """Hint that something of a group has changed."""
    _hint("orders.advance_group", "monitor", group_id=group_id)


def submit_queue(account: str) -> str:
    """Return the queue of an account's orders: one venue that hangs starves nobody else."""
    return f"submit.{account}"


def cancel_queue(account: str) -> str:
    """Return the queue of an account's cancels."""
    return f"cancel.{account}"


def _hint(task: str, queue: str, *, seconds: float = 0.0, **named: int) -> None:
    global _giver  # noqa: PLW0603 one thread a process
    if _giver != os.getpid():
        with _starting:
            if _giver != os.getpid():
                threading.Thread(target=_give, name="hints", daemon=True).start()
                _giver = os.getpid()
    _waiting.put(_Hint(time.monotonic() + max(0.0, seconds), task, named, queue))


def _give() -> None:
    later: list[_Hint] = []
    while True:
        wait = None if not later else max(0.0, later[0].at - time.monotonic())
        with suppress(Empty):
            heapq.heappush(later, _waiting.get(timeout=wait))
        while later and later[0].at <= time.monotonic():
            _send(heapq.heappop(later))


def _send(hint: _Hint) -> None:
    if not _circuit.allows():
        return
    try:
        current_app.send_task(
            hint.task, kwargs=hint.named, queue=hint.queue, retry=False, ignore_result=True
        )
    except (OperationalError, RedisError, OSError) as e:
        _circuit.trip()
        logger.warning("hint %s %s not given: %s", hint.task, hint.named, e)
