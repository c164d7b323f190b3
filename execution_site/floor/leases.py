"""Every lease: of each singleton one copy works, the others stand by.

    lease              its holder writes
    sealer             seals and anchors; the auditor beside it, what it anchored and verified
    market_loop        quotes, Greeks, paper fills, venues' reports, days, minutes, bars, breakers
    replay.<account>   the same of one account, on the replayed clock

A lease is a row with a fencing epoch. Whatever its holder writes goes through `Held`: the
transaction shares a lock of the row, so a copy that was paused, lost its lease and wakes writes
nothing. The sweeper holds none: each piece of its work is claimed by the row it concerns.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from django.db import connections, models, transaction
from django.db.models.functions import Now

from execution_site.floor import statements
from execution_site.floor.locks import FOR_SHARE


class LeaseLost(Exception):
    """Somebody else has taken the lease; what this transaction wrote must not be committed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease {name} has changed hands")


class Lease(models.Model):
    """Who may act as the one copy of a singleton, until when, by the database's clock."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=128)
    epoch = models.BigIntegerField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} (epoch {self.epoch})"


class Held(NamedTuple):
    """A lease as its holder took it: what fences the holder's writes."""

    name: str
    epoch: int

    def fence(self, *, using: str = "default") -> None:
        """Keep the lease from changing hands until this transaction ends.

        :raises LeaseLost: it has already changed hands
        """
        lease = {"lease": self.name, "epoch": self.epoch}
        if statements.first(FENCE, lease, using=using) is None:
            raise LeaseLost(self.name)

    @contextmanager
    def writing(self, *, patience: timedelta | None = None) -> Iterator[None]:
        """Run a write of the holder in a fenced transaction of its own.

        No lock is waited for longer than `patience`.

        :raises LeaseLost: the lease has changed hands; nothing is written
        """
        with transaction.atomic(durable=True):
            if patience is not None:
                milliseconds = f"{patience / timedelta(milliseconds=1):.0f}ms"
                statements.run(_PATIENCE, [milliseconds])
            self.fence()
            yield


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
_PATIENCE = "SELECT set_config('lock_timeout', %s, true)"


def acquire(name: str, holder: str, *, ttl: timedelta) -> Held | None:
    """Take or renew a lease and return it, or None while somebody else holds it."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_ACQUIRE, {"name": name, "holder": holder, "seconds": ttl.total_seconds()})
        row = cursor.fetchone()
    return Held(name, row[0]) if row else None


def held_by(name: str, holder: str) -> Held | None:
    """Return a lease that this holder has and that has not run out, without renewing it."""
    lease = Lease.objects.filter(name=name, holder=holder, expires_at__gt=Now()).first()
    return Held(name, lease.epoch) if lease else None


def held_among(names: Collection[str]) -> set[str]:
    """Return those of the leases that somebody works under now."""
    held = Lease.objects.filter(name__in=names, expires_at__gt=Now())
    return set(held.values_list("name", flat=True))


def release(name: str, holder: str) -> None:
    """Give a lease back on a clean stop, so that the next copy need not wait it out."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "UPDATE execution_site_lease SET expires_at = clock_timestamp()"
            " WHERE name = %s AND holder = %s",
            [name, holder],
        )
