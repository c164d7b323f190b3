"""`manage.py anchor_audit`: begins the anchors of the event log anew, where they were lost."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from execution_site.floor import audit
from execution_site.floor.events import Seal
from execution_site.trail import anchors


class Command(BaseCommand):
    """Anchors the head as it is now and records who vouches for all that is before it."""

    help = "Anchor the head of the audit trail by hand, after its anchors were lost."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add who and why."""
        parser.add_argument("--actor", required=True, help="who vouches for the log as it is")
        parser.add_argument("--reason", required=True, help="what became of the anchors")

    def handle(self, *_: Any, actor: str, reason: str, **__: Any) -> None:
        """Anchor and record."""
        head = Seal.objects.order_by("-seq").first()
        if head is None:
            raise CommandError("nothing is sealed yet: there is nothing to anchor")
        before = anchors.reach(anchors.path())
        with transaction.atomic(durable=True):
            audit.record(
                "anchors_begun",
                actor=actor,
                reason=reason,
                at=timezone.now(),
                before={"seq": before},
                after={"seq": head.seq, "hash": head.hash},
            )
        anchors.append(anchors.of_head(head.seq, head.hash), anchors.path())
        self.stdout.write(f"anchored seal {head.seq} {head.hash}")
