"""Verifying the event log: the chain, who wrote it, its anchors, and what is not sealed yet."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from execution_site.floor import chain, leases, statements
from execution_site.floor.chain import Break, Sealed
from execution_site.floor.events import Event, Seal, canonical, is_our_mac
from execution_site.trail import anchors
from execution_site.trail.sealer import LEASE, microseconds

PAGE = 2_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A sealer that works has found by then whatever was committed, however late.
SEALED_WITHIN_SECONDS = 20.0
LOOK_SECONDS = 0.5

Rows = Iterable[Sealed | Break]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: `pending` is committed and not sealed yet, `broken` the first flaw."""

    rows: int
    head: int
    hash: str
    pending: int
    broken: Break | None


def verify(
    *,
    first: int = 1,
    last: int | None = None,
    anchored: Mapping[int, str],
    through: Callable[[Rows], Rows] = iter,
) -> Verified:
    """Walk the seals from `first` to `last`, or to the head; `through` sees each row.

    Rows are read a page at a time: what is sealed does not change, so no snapshot is held.
    """
    head = Seal.objects.order_by("-seq").first()
    end = min(last or head.seq, head.seq) if head else 0
    before = Seal.objects.filter(seq=first - 1).first()
    found = chain.verify(
        _sealed(first, end),
        is_ours=_is_ours,
        start_seq=first,
        start_hash=before.hash if before else chain.GENESIS,
        anchors={seq: h for seq, h in anchored.items() if first <= seq <= (last or seq)},
    )
    rows, broken = 0, None
    for row in through(found):
        if isinstance(row, Break):
            broken = row
        else:
            rows += 1
    pending = 0
    if broken is None:
        broken = _unanchored(anchored)
    if broken is None:
        pending, broken = _tail()
    digest = head.hash if head else ""
    return Verified(rows, head.seq if head else 0, digest, pending, broken)


def _unanchored(anchored: Mapping[int, str]) -> Break | None:
    owed = anchors.owed(at=timezone.now())
    problem = chain.anchor_problem(max(anchored, default=0), owed=owed)
    return None if problem is None else Break(owed, None, problem)


def _tail() -> tuple[int, Break | None]:
    """Count what is not sealed yet. It is pending, unless a sealer that works passes it over.

    An event may be committed long after its time: nothing follows from its age.
    """
    deadline = time.monotonic() + SEALED_WITHIN_SECONDS
    waiting = _unsealed()
    for row in waiting.values():
        if not is_our_mac(row.mac, row.type, row.account, canonical(row.data), row.at):
            return 0, Break(0, row.pk, "the application did not write this row")
    overdue = timezone.now() - timedelta(seconds=SEALED_WITHIN_SECONDS)
    old = {pk for pk, row in waiting.items() if row.at < overdue}
    while old and _a_sealer_works():
        if time.monotonic() > deadline:
            problem = "the sealer works and passes this event over"
            return len(waiting), Break(0, min(old), problem)
        time.sleep(LOOK_SECONDS)
        waiting = _unsealed()
        old &= waiting.keys()
    return len(waiting), None


def _unsealed() -> dict[int, Event]:
    ids = [event_id for (event_id,) in statements.run(_UNSEALED)]
    return Event.objects.in_bulk(ids)


def _a_sealer_works() -> bool:
    return bool(leases.held_among([LEASE]))


def _sealed(first: int, last: int) -> Iterator[Sealed]:
    """Yield the seals of a range, in order."""
    while first <= last:
        rows = Seal.objects.filter(seq__gte=first, seq__lte=last).order_by("seq")
        page = list(rows.select_related("event")[:PAGE])
        if not page:
            return
        for seal in page:
            event = seal.event
            yield Sealed(
                seal.seq,
                event.pk,
                event.type,
                event.account,
                microseconds(event.at),
                canonical(event.data),
                event.mac,
                seal.previous_hash,
                seal.hash,
            )
        first = page[-1].seq + 1


def _is_ours(row: Sealed) -> bool:
    at = EPOCH + timedelta(microseconds=row.at)
    return is_our_mac(row.mac, row.type, row.account, row.data, at)


_UNSEALED = """
SELECT e.id FROM execution_site_event e
WHERE NOT EXISTS (SELECT 1 FROM execution_site_seal s WHERE s.event_id = e.id) ORDER BY e.id
"""
