"""The worker: Celery threads that submit, cancel and monitor, and a watchdog beside them."""

import logging
import os
import socket
import sys
import threading
import time
from functools import partial
from typing import Any

from celery import shared_task
from celery.signals import task_prerun, task_received, worker_ready
from celery.worker import state
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from brokers.models import BrokerConnection
from execution_site.celery import app
from execution_site.floor import bus, hearts, outages
from execution_site.floor.hearts import Beating
from orders import hints

WATCH_SECONDS = 2
LOOKS = 8  # so many in a row without a message, and the consumer counts as silent

logger = logging.getLogger(__name__)
_heard = threading.Event()


@shared_task(name="worker.heartbeat")
def heartbeat() -> None:
    """Do nothing: that the message arrives is all that the watchdog wants to know."""


class Silence:
    """Counts the looks, one after another, at which the consumer had taken no message.

    Looks are counted and not seconds: a process that is paused does not look.
    """

    def __init__(self) -> None:
        self._looks = 0

    def look(self, *, heard: bool, excused: bool) -> bool:
        """Tell whether it has been silent for too long.

        `excused`: there was nothing to hear, or no room to take it.
        """
        self._looks = 0 if heard or excused else self._looks + 1
        return self._looks >= LOOKS


def run() -> int:
    """Run the worker until it is told to stop; return its exit code."""
    heart = hearts.begin("worker")
    app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize  # else each task pays for a new connection
    queues = [*hints.COMMON_QUEUES, host_queue(), *_account_queues()]
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
    task_received.connect(_hear)
    task_prerun.connect(_fresh_connections)
    worker_ready.connect(partial(_start_watchdog, heart), weak=False)
    worker.start()
    return int(worker.exitcode or 0)


def host_queue() -> str:
    """Return the queue of this machine's worker, where its watchdog sends."""
    return f"worker.{socket.gethostname()}"


def _account_queues() -> list[str]:
    accounts = BrokerConnection.objects.values_list("name", flat=True)
    return [queue for account in accounts for queue in hints.queues_of(account)]


def _hear(**_: Any) -> None:
    _heard.set()


def _fresh_connections(**_: Any) -> None:
    """Let a database connection that died between two tasks be replaced, not reported."""
    close_old_connections()


def _start_watchdog(heart: Beating, sender: Any, **_: Any) -> None:
    watch = partial(_watch, sender.controller, heart)
    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def _watch(controller: Any, heart: Beating) -> None:
    """Follow new connections' queues; leave when messages stop although Redis is there.

    A consumer can go silent after its broker came back; the supervisor starts a new one at once.
    """
    following = set(_account_queues())
    probe = bus.client(timeout=1.0)
    silence = Silence()
    while True:
        time.sleep(WATCH_SECONDS)
        heart.moved()
        try:
            close_old_connections()
            for queue in set(_account_queues()) - following:
                controller.consumer.call_soon(controller.consumer.add_task_queue, queue)
                following.add(queue)
        except DatabaseError as e:
            logger.warning("the database is away: %s", e)
        busy = len(state.reserved_requests) >= settings.WORKER_THREADS
        excused = busy or not _answers(probe)
        if silence.look(heard=_heard.is_set(), excused=excused):
            logger.error("no message for %s looks: leaving to be restarted", LOOKS)
            os._exit(1)
        _heard.clear()
        if not excused:
            _ask()


def _ask() -> None:
    """Send this worker's consumer a message; the next look asks whether anything came."""
    lasts = LOOKS * WATCH_SECONDS
    try:
        app.send_task(heartbeat.name, queue=host_queue(), retry=False, expires=lasts)
    except (OperationalError, RedisError, OSError) as e:
        logger.warning("no heartbeat sent: %s", e)


def _answers(probe: Any) -> bool:
    try:
        probe.ping()
    except RedisError as e:
        outages.services.begin(outages.REDIS, e)
        return False
    outages.services.end(outages.REDIS)
    return True
