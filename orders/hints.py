"""Hints to the workers: "look at order N". They may fail, be lost or come twice without harm."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution_site.bus import Circuit

logger = logging.getLogger(__name__)
_circuit = Circuit()


def transmit(order_id: int, account: str) -> None:
    """Hint that an order waits to be sent."""
    _send("orders.transmit_order", order_id, submit_queue(account))


def look_up(order_id: int) -> None:
    """Hint that the venue should be asked about an order."""
    _send("orders.look_up_order", order_id, "monitor")


def cancel(order_id: int, account: str) -> None:
    """Hint that a cancel waits to be sent. Cancels have queues of their own."""
    _send("orders.cancel_order", order_id, cancel_queue(account))


def replace(order_id: int, account: str) -> None:
    """Hint that an order's new terms wait to be sent."""
    _send("orders.replace_order", order_id, submit_queue(account))


def submit_queue(account: str) -> str:
    """Return the queue of an account's orders: one venue that hangs starves nobody else."""
    return f"submit.{account}"


def cancel_queue(account: str) -> str:
    """Return the queue of an account's cancels."""
    return f"cancel.{account}"


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
