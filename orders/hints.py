"""Hints to the workers: "look at order N". They may fail, be lost or come twice without harm.

A thread of its own gives them, so that nobody waits for Celery or Redis; what it has not given when
the process ends, the sweeper finds.
"""

import logging
import os
import threading
from queue import SimpleQueue

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution_site.bus import Circuit

logger = logging.getLogger(__name__)
_circuit = Circuit()
_waiting: SimpleQueue[tuple[str, int, str]] = SimpleQueue()
_giver = 0  # the process whose thread gives; a forked one starts its own
_starting = threading.Lock()


def transmit(order_id: int, account: str) -> None:
    """Hint that an order waits to be sent."""
    _hint("orders.transmit_order", order_id, submit_queue(account))


def look_up(order_id: int) -> None:
    """Hint that the venue should be asked about an order."""
    _hint("orders.look_up_order", order_id, "monitor")


def cancel(order_id: int, account: str) -> None:
    """Hint that a cancel waits to be sent. Cancels have queues of their own."""
    _hint("orders.cancel_order", order_id, cancel_queue(account))


def replace(order_id: int, account: str) -> None:
    """Hint that an order's new terms wait to be sent."""
    _hint("orders.replace_order", order_id, submit_queue(account))


def submit_queue(account: str) -> str:
    """Return the queue of an account's orders: one venue that hangs starves nobody else."""
    return f"submit.{account}"


def cancel_queue(account: str) -> str:
    """Return the queue of an account's cancels."""
    return f"cancel.{account}"


def _hint(task: str, order_id: int, queue: str) -> None:
    global _giver  # noqa: PLW0603 one thread a process
    if _giver != os.getpid():
        with _starting:
            if _giver != os.getpid():
                threading.Thread(target=_give, name="hints", daemon=True).start()
                _giver = os.getpid()
    _waiting.put((task, order_id, queue))


def _give() -> None:
    while True:
        task, order_id, queue = _waiting.get()
        if not _circuit.allows():
            continue
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
