"""Leases: of every singleton (sweeper, sealer, market loop) one copy works, the others stand by.

A lease is a row with a fencing epoch. Its holder shares a lock of the row in every transaction it
writes, so a copy that was paused, lost its lease and wakes writes nothing.
"""

from datetime import timedelta

from django.db import connections, models

from execution_site.floor.locks import FOR_SHARE


class LeaseLost(Exception):
    """Somebody else has taken the lease; what this transaction wrote must not be committed."""


class Lease(models.Model):
    """Who may act as the one copy of a singleton, until when, by the database's clock."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=128)
    epoch = models.BigIntegerField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} (epoch {self.epoch})"


_ACQUIRE = """
INSERT INTO execution_site_lease AS held (name, holder, epoch, expires_at)
VALUES (%(name)s, %(holder)s, 1,
        clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, expires_at = excluded.expires_at,
        epoch = held.epoch + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END
    WHERE held.holder = excluded.holder OR held.expires_at < clock_timestamp()
RETURNING epoch
"""
#: Finds the lease where it has not changed hands, and keeps it so; a part of larger statements.
FENCE = f"""
SELECT 1 FROM execution_site_lease WHERE name = %(lease)s AND epoch = %(epoch)s {FOR_SHARE}
"""  # noqa: S608 our own constant


def acquire(name: str, holder: str, *, ttl: timedelta, using: str = "default") -> int | None:
    """Take or renew a lease and return its epoch, or None while somebody else holds it."""
    with connections[using].cursor() as cursor:
        cursor.execute(_ACQUIRE, {"name": name, "holder": holder, "seconds": ttl.total_seconds()})
        row = cursor.fetchone()
    return row[0] if row else None


def fence(name: str, epoch: int, *, using: str = "default") -> None:
    """Keep the lease from changing hands until this transaction ends.

    :raises LeaseLost: it has already changed hands
    """
    with connections[using].cursor() as cursor:
        cursor.execute(FENCE, {"lease": name, "epoch": epoch})
        if cursor.fetchone() is None:
            raise LeaseLost(name)


def release(name: str, holder: str, *, using: str = "default") -> None:
    """Give a lease back on a clean stop, so that the next copy need not wait it out."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "UPDATE execution_site_lease SET expires_at = clock_timestamp()"
            " WHERE name = %s AND holder = %s",
            [name, holder],
        )
