"""The order rate: never more grants than the cap in any window of a second or a minute.

Orders and modifies wait for their turn; cancels never wait, but count, so that what waits, waits
longer. The times are the database's, taken under the lock of the account's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from execution_site import statements

#: A grant may reach the venue this much later than another; the windows are longer by it.
JITTER = timedelta(milliseconds=50)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A send's turn: it may go at `at`, at once where `granted`."""

    granted: bool
    at: datetime


def lock(connection_id: int) -> None:
    """Lock an account's row until the transaction ends."""
    statements.run(_MAKE, [connection_id])
    statements.run(_LOCK, [connection_id])


def take(connection_id: int) -> Turn:
    """Take an account's turn to send, or say when to ask again."""
    sent, next_at = _locked(connection_id)
    caps = _caps(connection_id)
    now = _now()
    free = earliest(sent, caps, now=now)
    if free <= now:
        _store(connection_id, [*sent, now], next_at, now=now)
        return Turn(True, now)
    # Those who wait come one after the other, not all at once.
    second = caps[0]
    apart = (SECOND + JITTER) / second if second else timedelta(0)
    turn = max(free, next_at + apart) if next_at is not None else free
    _store(connection_id, sent, turn, now=now)
    return Turn(False, turn)


def count(connection_id: int) -> None:
    """Count a cancel, which never waits, where the account's rate is limited."""
    if _caps(connection_id) == (None, None):
        return
    with transaction.atomic():
        sent, next_at = _locked(connection_id)
        now = _now()
        _store(connection_id, [*sent, now], next_at, now=now)


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


def _locked(connection_id: int) -> tuple[list[datetime], datetime | None]:
    """Lock the account's row; return its sends of the last minute, and the last turn."""
    lock(connection_id)
    sent, next_at = statements.one(_SENT, [connection_id])
    return list(sent), next_at


def _now() -> datetime:
    now: datetime = statements.one("SELECT clock_timestamp()")[0]
    return now


def _store(
    connection_id: int, sent: Sequence[datetime], next_at: datetime | None, *, now: datetime
) -> None:
    kept = [at for at in sent if at > now - MINUTE - JITTER]
    statements.run(
        "UPDATE risk_orderrate SET sent = %s, next_at = %s WHERE connection_id = %s",
        [kept, next_at, connection_id],
    )


_LOCK = "SELECT 1 FROM risk_orderrate WHERE connection_id = %s FOR UPDATE"
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
_SENT = "SELECT sent, next_at FROM risk_orderrate WHERE connection_id = %s"
