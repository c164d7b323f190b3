"""The worker: Celery threads that submit, cancel and monitor, and a watchdog beside them."""

import logging
import os
import sys
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import task_prerun, worker_ready
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis.exceptions import RedisError

from brokers.models import BrokerConnection
from execution_site import bus
from execution_site.celery import app
from orders import hints

HEARTBEAT_SECONDS = 3
SILENCE_SECONDS = 15
WATCH_SECONDS = 2

logger = logging.getLogger(__name__)
_heard_at = time.monotonic()


@shared_task(name="worker.heartbeat")
def heartbeat() -> None:
    """Show that messages still arrive; beat sends it every few seconds."""
    global _heard_at  # noqa: PLW0603 one process, one heartbeat
    _heard_at = time.monotonic()


def run() -> int:
    """Run the worker until it is told to stop; return its exit code."""
    app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize  # else each task pays for a new connection
    queues = [*hints.COMMON_QUEUES, *_account_queues()]
    worker = app.Worker(
        pool="threads",
        concurrency=settings.WORKER_THREADS,
        queues=queues,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
        hostname="worker",
    )
    task_prerun.connect(_fresh_connections)
    worker_ready.connect(_start_watchdog)
    worker.start()
    return int(worker.exitcode or 0)


def _account_queues() -> list[str]:
    accounts = BrokerConnection.objects.values_list("name", flat=True)
    return [queue for account in accounts for queue in hints.queues_of(account)]


def _fresh_connections(**_: Any) -> None:
    """Let a database connection that died between two tasks be replaced, not reported."""
    close_old_connections()


def _start_watchdog(sender: Any, **_: Any) -> None:
    threading.Thread(target=_watch, args=[sender.controller], name="watchdog", daemon=True).start()


def _watch(controller: Any) -> None:
    """Follow new connections' queues; leave when messages stop although Redis is there.

    A consumer can go silent after its broker came back; the supervisor starts a new one at once.
    """
    following = set(_account_queues())
    probe = bus.client(timeout=1.0)
    while True:
        time.sleep(WATCH_SECONDS)
        try:
            close_old_connections()
            for queue in set(_account_queues()) - following:
                controller.consumer.call_soon(controller.consumer.add_task_queue, queue)
                following.add(queue)
        except DatabaseError as e:
            logger.warning("the database is away: %s", e)
        if time.monotonic() - _heard_at > SILENCE_SECONDS and _answers(probe):
            logger.error("no heartbeat for %s s: leaving to be restarted", SILENCE_SECONDS)
            os._exit(1)


def _answers(probe: Any) -> bool:
    try:
        return bool(probe.ping())
    except RedisError:
        return False
