"""Hints to the workers: "look at this account". They may fail, be lost or come twice without harm.

A hint names an account and a kind of work, and its task does whatever is due, oldest first. So few
need be outstanding however much waits: of hints that are alike one is given, and a queue that holds
as many as the workers can take up is given no more. What lies in a queue has not begun, so it will
see what is due by then.

A thread of its own gives them, so that nobody waits for Celery or Redis; what it has not given when
the process ends, the sweeper finds.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from celery import current_app
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from execution_site.floor import bus

MONITOR, BREAKERS, GROUPS, ASKED = "monitor", "breakers", "groups", "asked"
COMMON_QUEUES = (MONITOR, BREAKERS, GROUPS, ASKED)
#: A hint at a group names it, since a change of a leg makes no row due; the sweeper finds the rest.
GROUPS_WAITING = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Hint:
    """What is to be said. `most` such messages may wait in the queue."""

    task: str
    queue: str
    most: int
    named: tuple[tuple[str, str | int], ...] = ()


class _Giver:
    """Gives hints from a thread of its own, each when its time comes; alike ones become one."""

    def __init__(self) -> None:
        self._waiting: dict[_Hint, float] = {}  # and when, in seconds of the monotonic clock
        self._changed = threading.Condition()
        self._process = 0  # whose thread gives; a forked one starts its own
        self._circuit = bus.Circuit()
        self._queues = bus.client()

    def add(self, hint: _Hint, *, seconds: float = 0.0) -> None:
        """Have a hint given after so many seconds."""
        at = time.monotonic() + max(0.0, seconds)
        with self._changed:
            if self._process != os.getpid():
                threading.Thread(target=self._give, name="hints", daemon=True).start()
                self._process = os.getpid()
            self._waiting[hint] = min(at, self._waiting.get(hint, at))
            self._changed.notify()

    def _give(self) -> None:
        while True:
            for hint in self._await_due():
                self._send(hint)

    def _await_due(self) -> list[_Hint]:
        with self._changed:
            while True:
                now = time.monotonic()
                if due := [hint for hint, at in self._waiting.items() if at <= now]:
                    for hint in due:
                        del self._waiting[hint]
                    return due
                next_at = min(self._waiting.values(), default=None)
                self._changed.wait(None if next_at is None else next_at - now)

    def _send(self, hint: _Hint) -> None:
        if not self._circuit.allows():
            return
        try:
            if self._queues.llen(hint.queue) >= hint.most:
                return
            current_app.send_task(
                hint.task,
                kwargs=dict(hint.named),
                queue=hint.queue,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, RedisError, OSError) as e:
            self._circuit.trip()
            logger.warning("hint %s %s not given: %s", hint.task, dict(hint.named), e)


_giver = _Giver()


def transmit(account: str, *, at: datetime | None = None) -> None:
    """Hint that orders, or new terms of orders, wait to be sent: now, or when their turn comes."""
    seconds = 0.0 if at is None else (at - timezone.now()).total_seconds()
    _giver.add(_of_account("orders.transmit_due", "submit", account), seconds=seconds)


def look_up(account: str) -> None:
    """Hint that the venue should be asked about orders."""
    _giver.add(_of_account("orders.look_up_due", "query", account))


def cancel(account: str) -> None:
    """Hint that cancels wait to be sent. They have queues of their own."""
    _giver.add(_of_account("orders.cancel_due", "cancel", account))


def act_on_breakers() -> None:
    """Hint that a tripped breaker has something to do."""
    _giver.add(_Hint("orders.act_on_breakers", BREAKERS, most=1))


def finish_asked() -> None:
    """Hint that something that was asked of many is not done, or a position not closed."""
    _giver.add(_Hint("orders.finish_asked", ASKED, most=2))


def advance_group(group_id: int) -> None:
    """Hint that something of a group has changed."""
    named = (("group_id", group_id),)
    _giver.add(_Hint("orders.advance_group", GROUPS, GROUPS_WAITING, named))


def queues_of(account: str) -> list[str]:
    """Return an account's queues: one venue that hangs starves nobody else, nor its own cancels."""
    return [f"{kind}.{account}" for kind in ("submit", "cancel", "query")]


def _of_account(task: str, kind: str, account: str) -> _Hint:
    named = (("account", account),)
    return _Hint(task, f"{kind}.{account}", settings.WORKER_THREADS, named)
