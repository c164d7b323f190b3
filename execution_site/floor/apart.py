"""Work through many items, each in a transaction of its own: one that fails holds up no other."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from django.db import OperationalError, connection

from execution_site.floor.leases import Held, LeaseLost
from execution_site.floor.outages import Causes

#: Runs its body for the item it names.
Apart = Callable[[str], AbstractContextManager[None]]
LOCK_WAIT = timedelta(milliseconds=100)
FRESH_SECONDS = 1.0


class StoodStill(Exception):
    """Too long has passed since something was taken: it says nothing of now."""


def refuse_old(taken: float) -> None:
    """Check that what was taken at `taken`, by the monotonic clock, is still of this moment.

    :raises StoodStill: the process was paused, or slow
    """
    if (age := time.monotonic() - taken) > FRESH_SECONDS:
        raise StoodStill(f"stood still for {age:.1f} s")


@contextmanager
def together(_what: str) -> Iterator[None]:
    """Run an item like all others: one that fails ends them all."""
    yield


@contextmanager
def guarded(what: str, causes: Causes) -> Iterator[None]:
    """Leave an item out that fails, and log it once.

    :raises LeaseLost: whoever held the lease must stop
    :raises Exception: the database itself is away
    """
    try:
        yield
    except LeaseLost:
        raise
    except Exception as e:  # the outermost frame of an item: the next one goes on
        if not connection.is_usable():
            raise
        causes.begin(what, e, trace=not isinstance(e, OperationalError | StoodStill))
    else:
        causes.end(what)


def fenced(held: Held) -> Apart:
    """Return what gives each item a transaction under a lease; one that fails ends all."""

    @contextmanager
    def apart(_what: str) -> Iterator[None]:
        with held.writing():
            yield

    return apart


def under_lease(held: Held, causes: Causes) -> Apart:
    """Return what gives each item a guarded transaction that holds a lease and waits for no lock.

    An item that is locked for longer than `LOCK_WAIT` is left out.
    """

    @contextmanager
    def apart(what: str) -> Iterator[None]:
        with guarded(what, causes), held.writing(patience=LOCK_WAIT):
            yield

    return apart
