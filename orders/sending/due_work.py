"""Working off what is due in an account: item by item, by as many threads as it takes."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from django.utils import timezone

TURN_SECONDS = 0.5  # then somebody else's messages may have the thread


class Step(Protocol):
    """Does what has waited longest in an account."""

    def __call__(self, account: str, *, now: datetime) -> bool:
        """Tell whether anything was due."""


def work_off(account: str, *steps: Step, again: Callable[[str], None]) -> None:
    """Do each step until nothing is due, or this thread's turn is over.

    `again` has the account looked at anew: by another thread too where there is more than one
    item, so that a backlog has all of them within a few items; and where the turn ended first.
    """
    for step in steps:
        ends, done = time.monotonic() + TURN_SECONDS, 0
        while step(account, now=timezone.now()):
            done += 1
            over = time.monotonic() >= ends
            if over or done == 2:
                again(account)
            if over:
                break
