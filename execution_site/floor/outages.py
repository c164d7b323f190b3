"""What is wrong now: each cause is logged once when it begins, and once when it is over."""

import logging
import threading
import time
from collections.abc import Iterator

import psycopg
import redis
from kombu.exceptions import OperationalError as BrokerAway

SERVICES = DATABASE, REDIS = "the database", "Redis"

#: What PostgreSQL says when it ends a connection or takes none: shutdowns, time-outs of sessions.
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300", "08006"}

#: Why a database takes no writes, by SQLSTATE: a code and a sentence for clients.
UNWRITABLE = {
    "25006": ("database_read_only", "The database is read-only."),
    "53100": ("database_full", "The disk of the database is full."),
}


class Recent:
    """Something that happened in this process a moment ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = 0.0

    def note(self) -> None:
        """Note that it happens."""
        self._until = time.monotonic() + self._seconds

    def is_recent(self) -> bool:
        """Tell whether it happened within the last seconds."""
        return time.monotonic() < self._until


#: The database has refused a write to this process.
refused_writes = Recent(5.0)


class Causes:
    """What fails at present, by name.

    What fails now and then is logged once too: it counts as well again after `settle` seconds.
    """

    def __init__(self, logger: logging.Logger, *, settle: float) -> None:
        self._logger, self._settle = logger, settle
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, what: str, error: BaseException, *, trace: bool = False) -> None:
        """Note that it fails; `trace`: nobody expects such an error, so its traceback is logged.

        Where a service is away it is the service that fails, and nothing else.
        """
        service = service_of(error)
        if service is not None and self is not services:
            services.begin(service, error)
            return
        with self._lock:
            is_new = what not in self._failed_at
            self._failed_at[what] = time.monotonic()
        if is_new:
            told = error if trace else None
            self._logger.warning("%s failed: %s", what, first_line(error), exc_info=told)

    def end(self, what: str) -> None:
        """Note that it works."""
        if what not in self._failed_at:
            return
        with self._lock:
            failed_at = self._failed_at.get(what)
            if failed_at is None or time.monotonic() - failed_at < self._settle:
                return
            del self._failed_at[what]
        self._logger.warning("%s works again", what)


#: The services of this process. Who connects says so: execution_site/postgres, execution_site/bus.
services = Causes(logging.getLogger(__name__), settle=0.0)


def service_of(error: BaseException) -> str | None:
    """Return the service that is away where an error, or what caused it, says so."""
    for cause in _chain(error):
        match cause:
            case redis.ConnectionError() | redis.TimeoutError() | BrokerAway():
                return REDIS
            case psycopg.InterfaceError():
                return DATABASE
            case psycopg.OperationalError() if cause.sqlstate is None:  # the client's own word
                return DATABASE
            case psycopg.Error() if cause.sqlstate in _ENDED:
                return DATABASE
    return None


def unwritable(error: BaseException) -> tuple[str, str] | None:
    """Return code and sentence where the database takes no writes, and note it."""
    for cause in _chain(error):
        if isinstance(cause, psycopg.Error) and cause.sqlstate in UNWRITABLE:
            refused_writes.note()
            return UNWRITABLE[cause.sqlstate]
    return None


def first_line(error: BaseException) -> str:
    """Return an error's text as one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
