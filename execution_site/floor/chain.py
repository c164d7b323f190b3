"""The hash chain of the event log: pure, so that it can be checked anywhere.

Each seal's hash covers its number, its event in one fixed spelling, and the hash before it. An
event's own `mac` shows that the application wrote it; a row slipped in has none that fits.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Sealed:
    """One seal with its event. `at` is microseconds since the epoch, `data` its canonical JSON."""

    seq: int
    event_id: int
    type: str
    account: str
    at: int
    data: str
    mac: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """The first row that does not fit, and what is wrong with it; 0 is the unsealed tail."""

    seq: int
    event_id: int | None
    problem: str

    def __str__(self) -> str:
        where = f"seal {self.seq}" if self.seq else "the unsealed tail"
        return f"{where}, event {self.event_id}: {self.problem}"


def link(
    previous: str, *, seq: int, event_id: int, type: str, account: str, at: int, data: str, mac: str
) -> str:
    """Return the hash of a seal (SHA-256, hexadecimal)."""
    text = "\n".join((previous, str(seq), str(event_id), type, account, str(at), mac, data))
    return hashlib.sha256(text.encode()).hexdigest()


def verify(
    rows: Iterable[Sealed],
    *,
    is_ours: Callable[[Sealed], bool],
    start_seq: int = 1,
    start_hash: str = GENESIS,
    anchors: dict[int, str] | None = None,
) -> Iterator[Sealed | Break]:
    """Yield each row that fits, and end with a Break at the first that does not."""
    expected_seq, previous = start_seq, start_hash
    anchored = dict(anchors or {})
    for row in rows:
        if problem := _problem(row, expected_seq, previous, is_ours):
            yield Break(min(row.seq, expected_seq), row.event_id, problem)
            return
        if anchored.pop(row.seq, row.hash) != row.hash:
            yield Break(row.seq, row.event_id, "the chain was rewritten: the anchor differs")
            return
        yield row
        expected_seq, previous = row.seq + 1, row.hash
    missing = [seq for seq in anchored if seq >= expected_seq]
    if missing:
        yield Break(expected_seq, None, f"the tail is cut: seal {max(missing)} was anchored")


def anchor_problem(anchored: int, *, owed: int) -> str | None:
    """Say what is wrong with anchors up to seal `anchored` where `owed` must be anchored by now.

    0 is none. What nobody outside the database vouches for can be cut off without a trace.
    """
    if anchored >= owed:
        return None
    if anchored == 0:
        return "the anchors are gone: nothing outside the database vouches for the log"
    return f"the anchors end at seal {anchored}: seal {owed} is not anchored"


def _problem(
    row: Sealed, expected_seq: int, previous: str, is_ours: Callable[[Sealed], bool]
) -> str | None:
    if row.seq != expected_seq:
        return f"seal {expected_seq} is missing"
    if row.previous_hash != previous:
        return "the row does not follow the one before it"
    computed = link(
        previous,
        seq=row.seq,
        event_id=row.event_id,
        type=row.type,
        account=row.account,
        at=row.at,
        data=row.data,
        mac=row.mac,
    )
    if computed != row.hash:
        return "the row was changed after it was sealed"
    if not is_ours(row):
        return "the application did not write this row"
    return None


def frame(*, seq: int, type: str, at: Any, data: Any) -> dict[str, Any]:
    """Return a durable event as the stream sends it, without `prev`."""
    return {"type": type, "seq": seq, "at": at, "data": data}
