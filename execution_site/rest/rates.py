"""How often somebody may ask: buckets in PostgreSQL that all web processes share, one row each.

A request costs one statement on a row of its own, which locks nothing else and writes no log: the
table is unlogged, and a crash of the database forgets it. By the generic cell rate algorithm no
window of T seconds sees more than `per_second` x (T + `burst_seconds`) units.
"""

import ipaddress
import math
import time
from dataclasses import dataclass

from django.conf import settings
from django.db import InternalError, OperationalError, models

from execution_site.floor import outages, statements
from execution_site.rest.http import Problem

FORGET_SECONDS = 3600.0
REMEMBERED = 10_000  # refusals, so that a flood costs no statements
IPV6_PREFIX = 64  # what one subscriber holds


class RateBucket(models.Model):
    """Until when what somebody has asked for is paid, at the rate of their limit."""

    name = models.CharField(max_length=128, primary_key=True)
    paid_until = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate in units a second, and how many seconds of it may come at once; 0 is no limit."""

    name: str
    per_second: float
    burst_seconds: float


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit, in units, and in how many seconds all of it is back."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """Return it as headers of an answer."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


def writes() -> Limit:
    """Return what a client may ask to be done."""
    return Limit("writes", settings.RATE_WRITES_PER_SECOND, 4)


def reads() -> Limit:
    """Return what a client may read; a page counts one for each 100 rows it may have."""
    return Limit("reads", settings.RATE_READS_PER_SECOND, 10)


def urgent() -> Limit:
    """Return how often a client may kill and cancel, whatever else it has asked."""
    return Limit("urgent", settings.RATE_URGENT_PER_SECOND, 10)


def anonymous() -> Limit:
    """Return how often an address may ask without a key or session that counts."""
    return Limit("anonymous", settings.RATE_ANONYMOUS_PER_MINUTE / 60, 60)


def sign_ins() -> Limit:
    """Return how often an address may try to sign in, whoever as."""
    return Limit("sign-in", settings.RATE_SIGN_INS_PER_MINUTE / 60, 60)


def unknown_names() -> Limit:
    """Return how often locks of names that nobody has are noted, for an address."""
    return Limit("unknown-names", 10 / 3600, 3600)


_refused_until: dict[str, float] = {}
_forget_at = [time.monotonic() + FORGET_SECONDS]


def take(limit: Limit, who: str, *, units: int = 1) -> Left | None:
    """Count a request of somebody's; None where there is no limit.

    A database that takes no writes counts nothing, and says so once
    (execution_site/floor/outages.py).
    :raises Problem: 429, with when to come again
    """
    if not limit.per_second:
        return None
    name = f"{limit.name}:{who}"
    if (wait := _refused_until.get(name, 0.0) - time.monotonic()) > 0:
        raise _too_many(limit, wait)
    cost = min(units / limit.per_second, limit.burst_seconds)
    params = {"name": name, "cost": cost, "burst": limit.burst_seconds}
    try:
        taken = statements.first(_TAKE, params)
        if time.monotonic() > _forget_at[0]:
            _forget_at[0] = time.monotonic() + FORGET_SECONDS
            statements.run(_FORGET)
    except (OperationalError, InternalError) as e:
        if outages.unwritable(e) is None:
            raise
        return None
    if taken is not None:
        return _left(limit, taken[0])
    (debt,) = statements.first(_DEBT, {"name": name}) or (0.0,)
    wait = max(debt + cost - limit.burst_seconds, 0.001)
    if len(_refused_until) >= REMEMBERED:
        _refused_until.clear()
    _refused_until[name] = time.monotonic() + wait
    raise _too_many(limit, wait)


def network(address: str) -> str:
    """Return who an address is counted as."""
    try:
        ours = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if ours.version == 4:
        return address
    return str(ipaddress.ip_network((ours, IPV6_PREFIX), strict=False))


def _left(limit: Limit, debt: float) -> Left:
    all_of_it = limit.per_second * limit.burst_seconds
    remaining = max(0, int(all_of_it - debt * limit.per_second))
    return Left(int(all_of_it), remaining, math.ceil(max(debt, 0.0)))


def _too_many(limit: Limit, wait: float) -> Problem:
    told = _left(limit, limit.burst_seconds).headers | {"Retry-After": str(math.ceil(wait))}
    said = f"Too many requests ({limit.name}): come again in {math.ceil(wait)} s."
    return Problem(429, "rate_limited", said, headers=told)


#: Pays for a request where that is within the burst; returns the seconds that are paid ahead.
_TAKE = """
INSERT INTO execution_site_ratebucket AS held (name, paid_until)
VALUES (%(name)s, clock_timestamp() + %(cost)s::float8 * interval '1 second')
ON CONFLICT (name) DO UPDATE SET paid_until =
    greatest(held.paid_until, clock_timestamp()) + %(cost)s::float8 * interval '1 second'
WHERE greatest(held.paid_until, clock_timestamp()) + %(cost)s::float8 * interval '1 second'
   <= clock_timestamp() + %(burst)s::float8 * interval '1 second'
RETURNING extract(epoch FROM paid_until - clock_timestamp())::float8
"""
_DEBT = """
SELECT extract(epoch FROM paid_until - clock_timestamp())::float8
FROM execution_site_ratebucket WHERE name = %(name)s
"""
_FORGET = "DELETE FROM execution_site_ratebucket WHERE paid_until < now() - interval '1 hour'"
