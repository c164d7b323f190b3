"""`manage.py verify_audit`: walks the hash chain of the event log."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.utils import timezone
from tqdm import tqdm

from execution_site import chain, text_files
from execution_site.chain import Break, Sealed
from execution_site.events import Seal, canonical, event_mac
from execution_site.sealer import GAP_SECONDS, anchor_path, microseconds
from execution_site.text_files import UnreadableFile

PAGE = 2_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Command(BaseCommand):
    """Exits 1 and names the first broken row."""

    help = "Verify the audit trail: chain, authorship, anchors and the unsealed tail."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the range of seals."""
        parser.add_argument("--from", dest="first", type=int, default=1, help="first seal")
        parser.add_argument("--to", dest="last", type=int, default=None, help="last seal")

    def handle(self, *_: Any, first: int, last: int | None, **__: Any) -> None:
        """Walk, count and report."""
        before = Seal.objects.filter(seq=first - 1).first()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL transaction_timeout = 0")
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            head = Seal.objects.order_by("-seq").first()
            total = min(last or 0, head.seq) if last and head else (head.seq if head else 0)
            checked = 0
            found = chain.verify(
                _sealed(first, last),
                mac_of=_mac,
                start_seq=first,
                start_hash=before.hash if before else chain.GENESIS,
                anchors=_anchors(first, last),
            )
            for row in tqdm(found, total=total, unit="row", disable=not sys.stderr.isatty()):
                if isinstance(row, Break):
                    self._fail(row)
                checked += 1
            tail = self._tail()
        digest = f"head {head.seq} {head.hash}" if head else "nothing sealed yet"
        self.stdout.write(f"verified {checked} rows, {digest}, {tail} not sealed yet")

    def _tail(self) -> int:
        """Count events not sealed yet; one that should have been long ago is a break."""
        with connection.cursor() as cursor:
            cursor.execute(_UNSEALED)
            ids = cursor.fetchall()
        overdue = timezone.now() - timedelta(seconds=GAP_SECONDS)
        for event_id, at in ids:
            if at < overdue:
                self._fail(Break(0, event_id, "an event was never sealed, or its seal is gone"))
        return len(ids)

    def _fail(self, broken: Break) -> None:
        where = f"seal {broken.seq}" if broken.seq else "the unsealed tail"
        self.stderr.write(f"BROKEN at {where}, event {broken.event_id}: {broken.problem}")
        sys.exit(1)


def _sealed(first: int, last: int | None) -> Iterator[Sealed]:
    rows = Seal.objects.filter(seq__gte=first).order_by("seq")
    if last is not None:
        rows = rows.filter(seq__lte=last)
    for seal in rows.select_related("event").iterator(chunk_size=PAGE):
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


def _mac(row: Sealed) -> str:
    at = EPOCH + timedelta(microseconds=row.at)
    return event_mac(row.type, row.account, row.data, at)


def _anchors(first: int, last: int | None) -> dict[int, str]:
    if not anchor_path().exists():
        return {}
    anchors: dict[int, str] = {}
    try:
        texts = list(text_files.lines(anchor_path()))
    except UnreadableFile as e:
        raise CommandError(str(e)) from e
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            seq, digest = int(line["seq"]), str(line["hash"])
        except (ValueError, TypeError, LookupError) as e:
            raise CommandError(f"{anchor_path()}, line {number}: no anchor") from e
        if seq >= first and (last is None or seq <= last):
            anchors.setdefault(seq, digest)  # a later word never replaces an earlier
    return anchors


_UNSEALED = """
SELECT e.id, e.at FROM execution_site_event e
WHERE NOT EXISTS (SELECT 1 FROM execution_site_seal s WHERE s.event_id = e.id) ORDER BY e.id
"""
