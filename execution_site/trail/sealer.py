"""The sealer: numbers, chains and publishes committed events. One copy works, under its lease.

Ids are drawn before commits, so a small id can appear after a greater one. What has not been seen
below the greatest sealed id is kept as a gap and looked for at every step for a while. Behind that
goes a sweep: once every transaction has ended that was open when an id was seen, whatever is below
that id and has no seal gets one, however late it was committed.
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import redis
from django.db import connection

from execution_site.floor import bus, chain, leases, outages, statements
from execution_site.floor.events import Seal, canonical
from execution_site.trail import anchors

LEASE = "sealer"
LEASE_TTL = timedelta(seconds=3)
RENEW_SECONDS = 1.0  # what is written in between is fenced by the lease's epoch
BATCH = 500
GAP_SECONDS = 30.0
SWEEP_SECONDS = 5.0
SWEEP_IDS = 200_000  # at most, at a time: a successor begins at the oldest event
IDLE_SECONDS = 0.2
STANDBY_SECONDS = 0.5
ANCHOR_SECONDS = 1.0
MESSAGE_BYTES = 256 * 1024
GAPS_AT_START = 10_000

logger = logging.getLogger(__name__)
_anchoring = outages.Causes(logger, settle=0.0)


class AnchorsGone(Exception):
    """The file of anchors ends before it must."""


class _Mark(NamedTuple):
    """Whoever drew an id up to `event_id` is a transaction with a number below `before`."""

    event_id: int
    before: int


class Sealer:
    """Seals what is committed, in id order."""

    def __init__(self, *, holder: str) -> None:
        self.holder = holder
        self._held: leases.Held | None = None
        self._renewed_at = 0.0
        self._last_event = 0
        self._gaps: dict[int, float] = {}
        self._swept_to = 0
        self._swept_at = 0.0
        self._mark: _Mark | None = None
        self._head = 0
        self._hash = chain.GENESIS
        self._anchored = 0
        self._anchored_at = 0.0

    def step(self) -> int | None:
        """Seal one batch and return its size; None while another copy holds the lease."""
        held = self._hold()
        if held is None:
            return None
        self._sweep()
        rows = self._unsealed()
        try:
            if rows:
                first = self._head + 1
                frames = self._seal(rows, held)
                self._publish(first, frames)
            self._anchor(held)
        except leases.LeaseLost:
            self._held = None
            return None
        return len(rows)

    def _hold(self) -> leases.Held | None:
        """Take the lease, or renew it in time, and return it."""
        now = time.monotonic()
        if self._held is not None and now - self._renewed_at < RENEW_SECONDS:
            return self._held
        held = leases.acquire(LEASE, self.holder, ttl=LEASE_TTL)
        if held is not None and held != self._held:
            self._take_over(held)
        self._held, self._renewed_at = held, now
        return held

    def _take_over(self, held: leases.Held) -> None:
        """Find where the chain stands, and every event that is not in it."""
        head = Seal.objects.order_by("-seq").first()
        self._head, self._hash = (head.seq, head.hash) if head else (0, chain.GENESIS)
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(event_id), 0) FROM execution_site_seal")
            self._last_event = cursor.fetchone()[0]
            cursor.execute(_MISSING, {"last": self._last_event, "reach": GAPS_AT_START})
            noticed = time.monotonic()
            self._gaps = {row[0]: noticed for row in cursor.fetchall()}
        self._swept_to, self._mark = 0, None
        self._held = held
        self._anchored = anchors.owed(at=head.sealed_at) if head else 0
        logger.info("sealing from %s under epoch %s", self._head, held.epoch)

    def _unsealed(self) -> list[tuple[Any, ...]]:
        """Return what is committed and not sealed; a gap is given up only after a last look."""
        before = time.monotonic() - GAP_SECONDS
        params = {"last": self._last_event, "gaps": list(self._gaps), "batch": BATCH}
        rows = statements.run(_UNSEALED, params)
        if len(rows) < BATCH:
            found = {row[0] for row in rows}
            self._gaps = {i: at for i, at in self._gaps.items() if at > before or i in found}
        return rows

    def _sweep(self) -> None:
        """Make gaps of what was committed after it was given up."""
        now = time.monotonic()
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        oldest_open, next_transaction = statements.one(_TRANSACTIONS)
        if self._mark is not None and oldest_open >= self._mark.before:
            last = min(self._mark.event_id, self._swept_to + SWEEP_IDS)
            late = statements.run(_LATE, {"after": self._swept_to, "last": last})
            self._gaps.update(dict.fromkeys((event_id for (event_id,) in late), now))
            self._swept_to = last
        if self._mark is None or self._swept_to == self._mark.event_id:
            self._mark = _Mark(self._last_event, next_transaction)

    def _seal(self, rows: list[tuple[Any, ...]], lease: leases.Held) -> list[str]:
        """Write the seals of a batch in one statement that holds the lease; return its frames.

        :raises leases.LeaseLost: another copy has taken over; nothing was written
        """
        seals, frames = [], []
        head, previous = self._head, self._hash
        for event_id, kind, account, data, at, mac in rows:
            head += 1
            text = canonical(data)
            linked = chain.link(
                previous,
                seq=head,
                event_id=event_id,
                type=kind,
                account=account,
                at=microseconds(at),
                data=text,
                mac=mac,
            )
            seals.append((head, event_id, previous, linked))
            frames.append(_frame(head, kind, account, at, text))
            previous = linked
        params = {"lease": LEASE, "epoch": lease.epoch, "seals": json.dumps(seals)}
        if not statements.run(_SEAL, params):
            raise leases.LeaseLost(LEASE)
        self._head, self._hash = head, previous
        self._note(row[0] for row in rows)
        return frames

    def _note(self, sealed: Any) -> None:
        """Remember the ids below the greatest that have not been seen."""
        noticed = time.monotonic()
        for event_id in sealed:
            if event_id > self._last_event:
                self._gaps.update(dict.fromkeys(range(self._last_event + 1, event_id), noticed))
                self._last_event = event_id
            else:
                self._gaps.pop(event_id, None)

    def _publish(self, first: int, frames: list[str]) -> None:
        """Tell the web processes; a batch too large for a message is read from the table."""
        ends = f'"from":{first},"to":{self._head}'
        message = f'{{{ends},"events":[{",".join(frames)}]}}'
        bus.publish(bus.STREAM, message if len(message) <= MESSAGE_BYTES else f"{{{ends}}}")

    def _anchor(self, held: leases.Held) -> None:
        """Note the head outside the database, at most once a second.

        Where earlier anchors are gone nothing is added to what is left, so that it shows.

        :raises leases.LeaseLost: another copy has taken over; nothing was noted
        """
        now = time.monotonic()
        if self._head == self._anchored or now - self._anchored_at < ANCHOR_SECONDS:
            return
        self._anchored_at = now
        if problem := chain.anchor_problem(anchors.reach(anchors.path()), owed=self._anchored):
            _anchoring.begin("anchoring the audit trail", AnchorsGone(problem))
            return
        _anchoring.end("anchoring the audit trail")
        with held.writing():
            anchors.note(anchors.of_head(self._head, self._hash))
        self._anchored = self._head

    def stop(self) -> None:
        """Anchor the head and give the lease back."""
        self._anchored_at = 0.0
        if self._held is not None:
            with suppress(leases.LeaseLost):
                self._anchor(self._held)
            leases.release(LEASE, self.holder)


def run(sealer: Sealer, *, moved: Callable[[], None]) -> None:
    """Seal for ever, telling `moved` of each step.

    A notification shortens the wait; none does no harm.
    """
    notified = _Notified()
    while True:
        sealed = sealer.step()
        moved()
        if sealed is None:
            time.sleep(STANDBY_SECONDS)
        elif sealed < BATCH:
            notified.wait(IDLE_SECONDS)


class _Notified:
    """Waits for a wake-up; without Redis it is a plain pause."""

    def __init__(self) -> None:
        self._subscription: Any = None

    def wait(self, seconds: float) -> None:
        try:
            if self._subscription is None:
                client: Any = bus.client(timeout=1.0)
                self._subscription = client.pubsub(ignore_subscribe_messages=True)
                self._subscription.subscribe(bus.SEALER)
                outages.services.end(outages.REDIS)
            self._subscription.get_message(timeout=seconds)
            while self._subscription.get_message(timeout=0) is not None:
                pass  # one round seals them all
        except (redis.RedisError, OSError) as e:
            outages.services.begin(outages.REDIS, e)
            self._subscription = None
            time.sleep(seconds / 4)


def microseconds(at: datetime) -> int:
    """Return an instant as whole microseconds since the epoch."""
    elapsed = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def _frame(seq: int, kind: str, account: str, at: datetime, data: str) -> str:
    """Return an event as it is told, in JSON; `data` is JSON already."""
    spelt = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = f'"seq":{seq},"type":"{kind}","account":{json.dumps(account)},"at":"{spelt}"'
    return f'{{{head},"data":{data}}}'


_SEAL = f"""
WITH lease AS ({leases.FENCE})
INSERT INTO execution_site_seal (seq, event_id, previous_hash, hash, sealed_at)
SELECT (s ->> 0)::bigint, (s ->> 1)::bigint, s ->> 2, s ->> 3, now()
FROM jsonb_array_elements(%(seals)s::jsonb) AS s, lease
RETURNING seq
"""  # noqa: S608 our own constant
#: What is above the greatest sealed id is not sealed: only the lease's holder seals.
_UNSEALED = """
SELECT * FROM (
    (SELECT id, type, account, data::text::json, at, mac FROM execution_site_event
     WHERE id > %(last)s ORDER BY id LIMIT %(batch)s)
    UNION ALL
    (SELECT e.id, e.type, e.account, e.data::text::json, e.at, e.mac
     FROM unnest(%(gaps)s::bigint[]) AS gap JOIN execution_site_event e ON e.id = gap)) AS found
ORDER BY id LIMIT %(batch)s
"""
_MISSING = """
SELECT g FROM generate_series(greatest(%(last)s - %(reach)s, 1), %(last)s) AS g
WHERE NOT EXISTS (SELECT 1 FROM execution_site_seal s WHERE s.event_id = g)
UNION
SELECT e.id FROM execution_site_event e WHERE e.id <= %(last)s
  AND NOT EXISTS (SELECT 1 FROM execution_site_seal s WHERE s.event_id = e.id)
"""
_TRANSACTIONS = """
SELECT pg_snapshot_xmin(now_open)::text::bigint, pg_snapshot_xmax(now_open)::text::bigint
FROM pg_current_snapshot() AS now_open
"""
_LATE = """
SELECT e.id FROM execution_site_event e WHERE e.id > %(after)s AND e.id <= %(last)s
  AND NOT EXISTS (SELECT 1 FROM execution_site_seal s WHERE s.event_id = e.id)
"""
