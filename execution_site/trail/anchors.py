"""Anchors: where the head of the chain stood, noted where the database cannot reach it.

The sealer notes the head in a file each second that it moves. Who cuts the tail of the log must cut
this file too, so it also leaves the machine (execution_site/trail/auditor.py).
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from execution_site.floor import private_files, text_files
from execution_site.floor.events import Seal
from execution_site.floor.text_files import UnreadableFile

#: A seal is anchored within a second, and a sealer that was killed has a successor by then.
ANCHORED_WITHIN = timedelta(seconds=30)
TAIL_BYTES = 4096
MOST_BYTES = 8 * 1024 * 1024  # half a day of a busy site, at an anchor a second
KEPT_OF_OLDER = 10  # each newest anchor vouches for all before it: of older ones every tenth stays


class Anchor(NamedTuple):
    """The head of the chain at some time."""

    seq: int
    hash: str
    at: str

    def as_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self._asdict())


def of_head(seq: int, digest: str) -> Anchor:
    """Return the anchor of a head as it is now."""
    return Anchor(seq, digest, datetime.now(UTC).isoformat())


def path() -> Path:
    """Return the file of anchors on this machine."""
    return Path(settings.DATA_DIR) / "audit-anchor.jsonl"


def append(anchor: Anchor, to: Path) -> None:
    """Add an anchor to a file that is its user's alone; it is on disk when this returns."""
    with os.fdopen(private_files.opened(to, os.O_WRONLY | os.O_APPEND), "w") as file:
        file.write(anchor.as_json() + "\n")
        file.flush()
        os.fsync(file.fileno())


def note(anchor: Anchor) -> None:
    """Add an anchor to the file on this machine, which is thinned before it grows too large."""
    append(anchor, path())
    if path().stat().st_size > MOST_BYTES:
        _thin(path())


def _thin(file: Path) -> None:
    """Keep the newer half of a file's anchors, and few of the older; it is whole at any instant."""
    noted = file.read_text().splitlines(keepends=True)
    half = len(noted) // 2
    thinner = file.with_suffix(".thinner")
    with os.fdopen(private_files.opened(thinner, os.O_WRONLY | os.O_TRUNC), "w") as kept:
        kept.writelines(noted[:half:KEPT_OF_OLDER] + noted[half:])
        kept.flush()
        os.fsync(kept.fileno())
    thinner.replace(file)


def read(source: Path) -> dict[int, str]:
    """Return the hash of each seal that a file anchors; no file anchors nothing.

    :raises UnreadableFile: it holds something else
    """
    anchored: dict[int, str] = {}
    if not source.exists():
        return anchored
    for number, text in enumerate(list(text_files.lines(source)), start=1):
        try:
            line = json.loads(text)
            seq, digest = int(line["seq"]), str(line["hash"])
        except (ValueError, TypeError, LookupError) as e:
            raise UnreadableFile(f"{source}, line {number}: no anchor") from e
        anchored.setdefault(seq, digest)  # a later word never replaces an earlier
    return anchored


def newest(source: Path) -> Anchor | None:
    """Return the anchor in a file's last line, None where there is none."""
    try:
        with source.open("rb") as file:
            file.seek(max(0, source.stat().st_size - TAIL_BYTES))
            lines = file.read().splitlines()
        return Anchor(**json.loads(lines[-1]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def reach(source: Path) -> int:
    """Return the newest seal that a file anchors, 0 where it anchors none."""
    last = newest(source)
    return last.seq if last else 0


def owed(*, at: datetime) -> int:
    """Return the newest seal that must have been anchored by then, 0 for none."""
    sealed = Seal.objects.filter(sealed_at__lt=at - ANCHORED_WITHIN).order_by("-seq").first()
    return sealed.seq if sealed else 0


def begin_anew(*, at: datetime) -> None:
    """Go on from the head as it is now: what anchored a later one is kept under another name."""
    if path().exists():
        path().rename(path().with_name(f"audit-anchor.until-{at:%Y%m%dT%H%M%S}.jsonl"))
    if (head := Seal.objects.order_by("-seq").first()) is not None:
        append(of_head(head.seq, head.hash), path())


def ahead() -> Anchor | None:
    """Return what this machine anchored last, if the database does not hold it.

    Then the database is an older state than the one that was anchored, or another one.
    """
    last = newest(path())
    if last is None or Seal.objects.filter(seq=last.seq, hash=last.hash).exists():
        return None
    return last
