"""Notifications by Redis: wake-ups and latest values, which may be lost without harm.

Nothing here raises, and nothing waits: after a failure Redis is left alone for a second, so that
a dead Redis costs its callers next to nothing.
"""

import logging
import os
import threading
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution_site.floor import outages

SEALER = "execution:sealer"  # to the sealer: there are events to seal
STREAM = "execution:stream"  # to the web processes: sealed events, in order
LATEST = "execution:latest"  # to the web processes: quotes and marks, latest values

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 0.1

logger = logging.getLogger(__name__)


class Circuit:
    """Stays open (refusing) for a second after a failure."""

    def __init__(self) -> None:
        self._closed_at = 0.0

    def allows(self) -> bool:
        """Tell whether to try."""
        return time.monotonic() >= self._closed_at

    def trip(self) -> None:
        """Refuse for a while."""
        self._closed_at = time.monotonic() + PAUSE_SECONDS


def client(*, timeout: float = TIMEOUT_SECONDS) -> redis.Redis:
    """Return a client that fails at once instead of retrying."""
    return redis.Redis.from_url(
        settings.REDIS_SECRET_URL,
        socket_timeout=timeout,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


circuit = Circuit()
_client = client()


def publish(channel: str, message: str) -> bool:
    """Publish a message; return whether Redis took it."""
    if not circuit.allows():
        return False
    try:
        _client.publish(channel, message)
    except redis.RedisError as e:
        circuit.trip()
        logger.warning("not published on %s: %s", channel, e)
        return False
    outages.services.end(outages.REDIS)
    return True


class Notifier:
    """Notifies one channel from a thread of its own: calls while it publishes become one."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._wanted = threading.Event()
        self._process = 0  # whose thread publishes; a forked one starts its own
        self._starting = threading.Lock()

    def notify(self) -> None:
        """Have the channel notified soon."""
        if self._process != os.getpid():
            with self._starting:
                if self._process != os.getpid():
                    threading.Thread(target=self._publish, name="notifier", daemon=True).start()
                    self._process = os.getpid()
        self._wanted.set()

    def _publish(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            publish(self._channel, "1")
