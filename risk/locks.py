"""Every lock, in the one order in which they are taken.

    senders, limits, signal key, books of an account's instruments by id (advisory, in this order),
    shared limits by id, action or close, group, orders by id, positions by id, a position's shares,
    switches (advisory)

Each function is one statement that locks; what was locked is read in the *next* statement. One
statement that waits for a lock and reads other rows would read them as they were before the wait.
READ COMMITTED throughout.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, models, transaction

from execution_site.floor import statements
from risk.limits import MEANINGS

LIMITS = 7_316_002  # whoever judges holds it shared; a change of a limit takes it
SWITCHES = 7_316_004  # whoever changes a switch holds it to its commit
SENDERS = 7_316_001  # whoever grants a send holds it shared; a kill drains them by taking it


def senders_shared() -> None:
    """Keep a kill from being called drained until this transaction ends."""
    statements.run("SELECT pg_advisory_xact_lock_shared(%s)", [SENDERS])


def senders_exclusive(*, timeout: timedelta) -> None:
    """Wait until every sender that was granted before has committed.

    :raises OperationalError: one of them overstayed the timeout
    """
    with connection.cursor() as cursor:
        milliseconds = int(timeout.total_seconds() * 1000)
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SENDERS])


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
            [SENDERS],
        )
        return int(cursor.fetchone()[0])


def limits_exclusive() -> None:
    """Wait until every verdict that is being made is committed, and hold up new ones.

    Whoever changes a limit holds it to its commit: after it, nothing is admitted by the old one.
    """
    statements.run("SELECT pg_advisory_xact_lock(%s)", [LIMITS])


def switches() -> None:
    """Let changes of the switches come one after the other; who reads them waits for nothing."""
    statements.run("SELECT pg_advisory_xact_lock(%s)", [SWITCHES])


def signal_key(client_id: int, strategy: str, key: str) -> None:
    """Wait for whoever records a signal of this key now, and hold up its repeats."""
    name = key_name(client_id, strategy, key)
    statements.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
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
        " pg_advisory_xact_lock_shared(%s),"
        " pg_advisory_xact_lock(hashtextextended(%s, 0))"
        + ", pg_advisory_xact_lock(hashtextextended(%s, 1))"
        * len(books),
        [LIMITS, key, *books],
    )
    flush_after_commit()


def flush_after_commit() -> None:
    """Have the commit of this transaction wait for the disk after its locks are free.

    It is the first of what follows the commit, and `atomic` returns after it: hints given on commit
    and answers given after the block come later than the disk.
    """
    transaction.on_commit(statements.flush)


def shared_limits(params: dict[str, Any]) -> list[tuple[str, bool]]:
    """Lock, by id, the limits that orders in different instruments take from, and apply.

    `params` are those of `APPLIES`, with lists for `symbol` and `underlying` where several orders
    are judged together. Return the metric of each, and whether it spans accounts. Verdicts under
    one such limit are made one after the other.
    """
    several = isinstance(params["symbol"], list)
    found = statements.run(_SHARED_LIMITS_OF_ANY if several else _SHARED_LIMITS, params)
    return [(metric, spans) for _, metric, spans in found]


def orders_and_positions(account: str, client_order_ids: Sequence[str]) -> None:
    """Lock the orders of these ids, and when all of them are locked, their positions."""
    statements.run(_ORDERS_AND_POSITIONS, [account, list(client_order_ids)])


_APPLIES = """(l.connection_id IS NULL OR l.connection_id = %(connection)s)
    AND l.strategy IN ('', %(strategy)s) AND {symbols} AND {underlyings}
    AND (l.effective_from IS NULL OR l.effective_from <= %(now)s)
    AND (l.effective_until IS NULL OR l.effective_until > %(now)s)"""
#: The limits that apply to an order; a part of larger statements.
APPLIES = _APPLIES.format(
    symbols="l.symbol IN ('', %(symbol)s)", underlyings="l.underlying IN ('', %(underlying)s)"
)
_APPLIES_TO_ANY = _APPLIES.format(
    symbols="(l.symbol = '' OR l.symbol = ANY(%(symbol)s))",
    underlyings="(l.underlying = '' OR l.underlying = ANY(%(underlying)s))",
)
_SHARED = ", ".join(f"'{metric}'" for metric, meaning in MEANINGS.items() if meaning.shared)
_LOCK_SHARED = f"""
SELECT pg_advisory_xact_lock(7316003, mine.id::int), mine.metric, mine.spans
FROM (SELECT l.id, l.metric, l.connection_id IS NULL AS spans FROM risk_risklimit l
      WHERE l.metric IN ({_SHARED}) AND {{applies}}
      ORDER BY l.id OFFSET 0) AS mine
"""  # noqa: S608 our own names
_SHARED_LIMITS = _LOCK_SHARED.format(applies=APPLIES)
_SHARED_LIMITS_OF_ANY = _LOCK_SHARED.format(applies=_APPLIES_TO_ANY)

#: The sort below is what waits for every order before the first position is locked.
_ORDERS_AND_POSITIONS = """
WITH locked AS MATERIALIZED (
    SELECT o.connection_id, o.strategy, o.instrument_id
    FROM orders_order o JOIN brokers_brokerconnection c ON c.id = o.connection_id
    WHERE c.name = %s AND o.client_order_id = ANY(%s)
    ORDER BY o.id FOR UPDATE OF o)
SELECT 1 FROM portfolio_position p
JOIN (SELECT DISTINCT connection_id, strategy, instrument_id FROM locked) AS l
  ON p.connection_id = l.connection_id AND p.strategy = l.strategy
 AND p.instrument_id = l.instrument_id
ORDER BY p.id FOR UPDATE OF p
"""


def rows(queryset: "models.QuerySet[Any]") -> list[int]:
    """Lock rows of one table by id and return their ids."""
    locked = queryset.select_for_update(of=("self",)).order_by("pk")
    return list(locked.values_list("pk", flat=True))


def first_free(queryset: "models.QuerySet[Any]") -> int | None:
    """Lock the first row that nobody else holds and return its id, None where there is none.

    It never waits: of many workers each gets a row of its own.
    """
    free = queryset.select_for_update(of=("self",), skip_locked=True)
    return free.values_list("pk", flat=True).first()
