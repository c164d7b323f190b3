"""`manage.py verify_audit`: walks the hash chain of the event log."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from execution_site.floor.events import Seal
from execution_site.floor.text_files import UnreadableFile
from execution_site.trail import anchors, verification
from execution_site.trail.verification import Rows


class Command(BaseCommand):
    """Exits 1 and names the first broken row, or the anchor that is missing."""

    help = "Verify the audit trail: chain, authorship, anchors and the unsealed tail."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the range of seals, and where the anchors are."""
        parser.add_argument("--from", dest="first", type=int, default=1, help="first seal")
        parser.add_argument("--to", dest="last", type=int, default=None, help="last seal")
        parser.add_argument(
            "--anchors",
            dest="source",
            type=Path,
            default=None,
            help="a file of anchors kept elsewhere, instead of this machine's",
        )

    def handle(self, *_: Any, first: int, last: int | None, source: Path | None, **__: Any) -> None:
        """Walk, count and report."""
        found = verification.verify(
            first=first, last=last, anchored=_anchored(source), through=_shown
        )
        if found.broken is not None:
            self.stderr.write(f"BROKEN at {found.broken}")
            sys.exit(1)
        digest = f"head {found.head} {found.hash}" if found.head else "nothing sealed yet"
        self.stdout.write(f"verified {found.rows} rows, {digest}, {found.pending} not sealed yet")


def _anchored(source: Path | None) -> dict[int, str]:
    if source is not None and not source.exists():
        raise CommandError(f"{source}: no such file")
    try:
        return anchors.read(source or anchors.path())
    except UnreadableFile as e:
        raise CommandError(str(e)) from e


def _shown(rows: Rows) -> Rows:
    head = Seal.objects.order_by("-seq").values_list("seq", flat=True).first()
    return tqdm(rows, total=head, unit="row", disable=not sys.stderr.isatty())
