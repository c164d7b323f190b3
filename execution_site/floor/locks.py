"""Every lock, in the one order in which they are taken.

    lock                          who takes it
    senders (advisory)            a grant shares it; a kill takes it, and so waits for all grants
    limits (advisory)             a verdict shares it; a change of a limit takes it
    signal key (advisory)         whoever records a signal of this key
    books (advisory)              a verdict: each instrument of its account, by id
    shared limits (advisory)      a verdict: the limits that span instruments, by id
    action, close, proposal, approval, breaker, order rate: the row of what is being done
    group                         whoever moves it on
    orders, by id                 whoever changes them
    positions, by id              whoever books into them
    a position's shares           whoever shares it out among groups
    control, switches (advisory)  whoever changes mode, kill switches or breakers' switches

These stand for themselves, each held with none of the others waited for: a paper account (advisory,
on the paper venue's own connection), sign-in failures of a name (advisory), and the rows of
accounts, people and their devices, keys, calendars, quotes and changes of access. A lease is shared
by its holder's writes, anywhere in this order: whoever takes it over holds nothing else
(`execution_site/floor/leases.py`).

Each function is one statement that locks; what was locked is read in the *next* statement. One
statement that waits for a lock and reads other rows would read them as they were before the wait.
READ COMMITTED throughout. A larger statement that locks a part of what it reads takes its words
from here.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum, unique
from typing import Any, TypeVar

from django.db import connection, models, transaction

from execution_site.floor import statements

Rows = TypeVar("Rows", bound="models.QuerySet[Any]")


@unique
class Numbered(IntEnum):
    """Advisory locks that are known by a number."""

    SENDERS = 7_316_001  # whoever grants a send shares it; a kill drains them by taking it
    LIMITS = 7_316_002  # whoever judges shares it; a change of a limit takes it
    SHARED_LIMIT = 7_316_003  # with the limit's id beside it
    SWITCHES = 7_316_004  # whoever changes a switch holds it to its commit


@unique
class Named(IntEnum):
    """Advisory locks that are known by a text; the number keeps the kinds apart."""

    SIGNAL_KEY = 0
    BOOK = 1
    SIGN_IN = 2
    PAPER_ACCOUNT = 7


def _named(kind: Named) -> str:
    return f"pg_advisory_xact_lock(hashtextextended(%s, {kind}))"


#: Words for larger statements: wait for rows, leave out rows in use, keep a row from changing.
FOR_UPDATE = "FOR UPDATE"
FREE_FOR_UPDATE = "FOR UPDATE SKIP LOCKED"
FOR_SHARE = "FOR SHARE"
#: Locks the account whose name is the parameter.
PAPER_ACCOUNT = _named(Named.PAPER_ACCOUNT)
#: Locks the limit with the id `id` of the row `mine`.
SHARED_LIMIT = f"pg_advisory_xact_lock({Numbered.SHARED_LIMIT}, mine.id::int)"


def senders_shared() -> None:
    """Keep a kill from being called drained until this transaction ends."""
    statements.run(f"SELECT pg_advisory_xact_lock_shared({Numbered.SENDERS})")


def senders_exclusive(*, timeout: timedelta) -> None:
    """Wait until every sender that was granted before has committed.

    :raises OperationalError: one of them overstayed the timeout
    """
    with connection.cursor() as cursor:
        milliseconds = int(timeout.total_seconds() * 1000)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        cursor.execute(f"SELECT pg_advisory_xact_lock({Numbered.SENDERS})")


def terminate_senders() -> int:
    """End the database sessions that hold the senders' lock; return how many.

    A session of a role that we may not end is no sender of ours, and stays.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l"
            " JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.classid = 0 AND l.objid = %s"
            " AND l.mode = 'ShareLock' AND l.granted AND l.pid <> pg_backend_pid()"
            " AND a.datname = current_database() AND pg_has_role(a.usesysid, 'USAGE')",
            [int(Numbered.SENDERS)],
        )
        return int(cursor.fetchone()[0])


def limits_exclusive() -> None:
    """Wait until every verdict that is being made is committed, and hold up new ones.

    Whoever changes a limit holds it to its commit: after it, nothing is admitted by the old one.
    """
    statements.run(f"SELECT pg_advisory_xact_lock({Numbered.LIMITS})")


def switches() -> None:
    """Let changes of the switches come one after the other; who reads them waits for nothing."""
    statements.run(f"SELECT pg_advisory_xact_lock({Numbered.SWITCHES})")


def signal_key(client_id: int, strategy: str, key: str) -> None:
    """Wait for whoever records a signal of this key now, and hold up its repeats."""
    name = key_name(client_id, strategy, key)
    statements.run(f"SELECT {_named(Named.SIGNAL_KEY)}", [name])
    flush_after_commit()


def key_name(client_id: int, strategy: str, key: str) -> str:
    """Return the text that a signal's key is locked by."""
    return f"{client_id}\x1f{strategy}\x1f{key}"


def to_judge(key: str, *, connection_id: int, instrument_ids: Sequence[int]) -> None:
    """Lock what a verdict needs: limits (shared), the key's repeats, and the instruments' books.

    Two orders of an account in one instrument are judged one after the other, so that position,
    self-trade, duplicates and what can be closed are as the first left them. The commit does not
    wait for the disk, so that the locks are free at once; a flush follows it before anything leaves
    this process, whatever the caller does next (an answer, a hint): see `flush_after_commit`.
    """
    books = [f"{connection_id}/{instrument}" for instrument in sorted(set(instrument_ids))]
    statements.run(
        "SELECT set_config('synchronous_commit', 'off', true),"
        f" pg_advisory_xact_lock_shared({Numbered.LIMITS}), {_named(Named.SIGNAL_KEY)}"
        + f", {_named(Named.BOOK)}"
        * len(books),
        [key, *books],
    )
    flush_after_commit()


def flush_after_commit() -> None:
    """Have the commit of this transaction wait for the disk after its locks are free.

    It is the first of what follows the commit, and `atomic` returns after it: hints given on commit
    and answers given after the block come later than the disk.
    """
    transaction.on_commit(statements.flush)


def sign_in_failures(mark: str) -> None:
    """Let failures to sign in under one name be counted one after the other."""
    statements.run(f"SELECT {_named(Named.SIGN_IN)}", [mark])


def for_update(queryset: Rows) -> Rows:
    """Return the rows so that reading them locks them, but for what is joined to them.

    What is read in the same statement from other tables may be of before the wait.
    """
    return queryset.select_for_update(of=("self",))


def free_for_update(queryset: Rows) -> Rows:
    """Return the rows so that reading them locks them, without those that somebody else holds."""
    return queryset.select_for_update(of=("self",), skip_locked=True)


def rows(queryset: "models.QuerySet[Any]") -> list[int]:
    """Lock rows of one table by id and return their ids."""
    return list(for_update(queryset).order_by("pk").values_list("pk", flat=True))


def first_free(queryset: "models.QuerySet[Any]") -> int | None:
    """Lock the first row that nobody else holds and return its id, None where there is none.

    It never waits: of many workers each gets a row of its own.
    """
    return free_for_update(queryset).values_list("pk", flat=True).first()
