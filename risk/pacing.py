"""The order rate: never more grants than the cap in any window of a second or a minute.

Orders and modifies wait for their turn; cancels never wait, but count, so that what waits, waits
longer. The times are the database's, taken under the lock of the account's row, and are those that
the attempts carry. It is the account that waits, not one of its orders: whoever has waited longest
goes first when the turn comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from execution_site.floor import locks, statements

#: A grant may reach the venue this much later than another; the windows are longer by it.
JITTER = timedelta(milliseconds=50)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
LOOK_AGAIN = timedelta(seconds=2)  # a longer wait is looked at again: its cap may be raised


@dataclass(frozen=True, slots=True)
class Turn:
    """A send's turn: it may go, or should ask again, at `at`; at once where `granted`."""

    granted: bool
    at: datetime


def take(connection_id: int) -> Turn:
    """Take an account's turn to send, or say when it comes."""
    sent, now = _locked(connection_id)
    free = earliest(sent, _caps(connection_id), now=now)
    if free > now:
        at = min(free, now + LOOK_AGAIN)
        _store(connection_id, sent, at, now=now)
        return Turn(False, at)
    _store(connection_id, [*sent, now], None, now=now)
    return Turn(True, now)


def waits(account: str) -> bool:
    """Tell whether an account's next turn has not come."""
    return bool(statements.one(f"SELECT {WAITS}", {"account": account})[0])


def count(connection_id: int) -> None:
    """Count a cancel, which never waits, where the account's rate is limited."""
    if _caps(connection_id) == (None, None):
        return
    with transaction.atomic():
        sent, now = _locked(connection_id)
        _store(connection_id, [*sent, now], None, now=now)


def earliest(
    sent: Sequence[datetime], caps: tuple[int | None, int | None], *, now: datetime
) -> datetime:
    """Return when one more send keeps to the caps (a second, a minute); `sent` is oldest first."""
    free = now
    for cap, window in zip(caps, (SECOND, MINUTE), strict=True):
        if cap is None or len(sent) < cap:
            continue
        free = max(free, sent[-cap] + window + JITTER if cap else now + window)
    return free


def _caps(connection_id: int) -> tuple[int | None, int | None]:
    second, minute = statements.one(_CAPS, [connection_id])
    return (None if second is None else int(second), None if minute is None else int(minute))


def _locked(connection_id: int) -> tuple[list[datetime], datetime]:
    """Lock the account's row; return its sends of the last minute, and the time.

    A send of the future was counted before the clock was set back: it counts as one of now.
    """
    statements.run(_MAKE, [connection_id])
    statements.run(_LOCK, [connection_id])
    sent, now = statements.one(_SENT, [connection_id])
    return [min(at, now) for at in sent], now


def _store(
    connection_id: int, sent: Sequence[datetime], next_at: datetime | None, *, now: datetime
) -> None:
    kept = [at for at in sent if at > now - MINUTE - JITTER]
    statements.run(
        "UPDATE risk_orderrate SET sent = %s, next_at = %s WHERE connection_id = %s",
        [kept, next_at, connection_id],
    )


_LOCK = f"SELECT 1 FROM risk_orderrate WHERE connection_id = %s {locks.FOR_UPDATE}"  # noqa: S608 our own constant
_MAKE = """INSERT INTO risk_orderrate (connection_id, sent) VALUES (%s, '{}')
ON CONFLICT DO NOTHING"""
_CAPS = """
SELECT min(value) FILTER (WHERE metric = 'orders_per_second'),
       min(value) FILTER (WHERE metric = 'orders_per_minute')
FROM risk_risklimit
WHERE metric IN ('orders_per_second', 'orders_per_minute')
  AND (connection_id IS NULL OR connection_id = %s)
  AND coalesce(effective_from <= now(), true)
  AND coalesce(effective_until > now(), true)
"""
_SENT = "SELECT sent, clock_timestamp() FROM risk_orderrate WHERE connection_id = %s"
#: Whether an account waits for its turn; a part of larger statements. What lies further ahead than
#: a turn ever does was written before the clock was set back.
WAITS = """EXISTS (
    SELECT 1 FROM risk_orderrate rate JOIN brokers_brokerconnection c ON c.id = rate.connection_id
    WHERE c.name = %(account)s AND rate.next_at > clock_timestamp()
      AND rate.next_at <= clock_timestamp() + interval '2 seconds')"""
