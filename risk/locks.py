"""Every lock, in the one order in which they are taken.

    senders (advisory), signal key (advisory), usage rows by id, orders by id, positions by id

Each function is one statement that locks; what was locked is read in the *next* statement. One
statement that waits for a lock and reads other rows would read them as they were before the wait.
READ COMMITTED throughout.
"""

from datetime import timedelta
from typing import Any

from django.db import connection, models

SENDERS = 7_316_001  # whoever grants a send holds it shared; a kill drains them by taking it


def senders_shared() -> None:
    """Keep a kill from being called drained until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SENDERS])


def senders_exclusive(*, timeout: timedelta) -> None:
    """Wait until every sender that was granted before has committed.

    :raises OperationalError: one of them overstayed the timeout
    """
    with connection.cursor() as cursor:
        milliseconds = int(timeout.total_seconds() * 1000)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SENDERS])


def terminate_senders() -> int:
    """End the database sessions that hold the senders' lock; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
            " WHERE locktype = 'advisory' AND classid = 0 AND objid = %s"
            " AND mode = 'ShareLock' AND granted AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [SENDERS],
        )
        return int(cursor.fetchone()[0])


def signal_key(key: str) -> None:
    """Let concurrent repetitions of one key wait for the first; the commit need not be flushed.

    Whatever leaves the process afterwards is preceded by a flush (orders/intake.py).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'off', true),"
            " pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [key],
        )


def rows(queryset: "models.QuerySet[Any]") -> list[int]:
    """Lock rows of one table by id and return their ids."""
    locked = queryset.select_for_update(of=("self",)).order_by("pk")
    return list(locked.values_list("pk", flat=True))
