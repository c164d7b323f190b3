"""The audit trail looks after itself: verified each day, its head sent elsewhere each hour.

This runs beside the sealer, on a thread of its own, where the sealer's lease is held.
"""

import logging
import threading
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from execution_site.floor import audit, leases, outages
from execution_site.floor.events import Seal
from execution_site.floor.leases import Held, LeaseLost
from execution_site.floor.text_files import UnreadableFile
from execution_site.trail import anchoring, anchors, verification
from execution_site.trail.audit_checks import AuditCheck
from execution_site.trail.sealer import LEASE
from execution_site.trail.verification import Rows

LOOK_SECONDS = 60.0
VERIFIED_EACH = timedelta(days=1)
#: Sealing comes first: after so many rows the walk gives way for a moment.
PACE_ROWS, PACE_SECONDS = 500, 0.05
ACTOR = "sealer"

logger = logging.getLogger(__name__)


class Auditor:
    """Verifies and anchors what a sealer of this holder has sealed."""

    def __init__(self, *, holder: str) -> None:
        self.holder = holder
        self._anchored = 0
        self._anchor_at = 0.0
        self._causes = outages.Causes(logger, settle=0.0)

    def start(self) -> None:
        """Look from now on, as long as the process runs."""
        threading.Thread(target=self._run, name="auditor", daemon=True).start()

    def look(self, *, now: datetime) -> None:
        """Do what is due, if our sealer is the one that works."""
        if (held := leases.held_by(LEASE, self.holder)) is None:
            return
        try:
            self._anchor(held, now=now)
            self._verify(held, now=now)
        except LeaseLost:
            logger.warning("another sealer has taken over, and looks after the audit trail")

    def _anchor(self, held: Held, *, now: datetime) -> None:
        """Send the head elsewhere, and record where it went and what it was."""
        head = Seal.objects.order_by("-seq").first()
        due = head and head.seq != self._anchored and time.monotonic() >= self._anchor_at
        if head is None or not due or not anchoring.targets():
            return
        said = anchoring.send(anchors.of_head(head.seq, head.hash))
        for where, problem in said.items():
            if problem:
                self._causes.begin(f"anchoring at {where}", OSError(problem))
            else:
                self._causes.end(f"anchoring at {where}")
        if arrived := sorted(where for where, problem in said.items() if not problem):
            after = {"seq": head.seq, "hash": head.hash, "at": arrived}
            with held.writing():
                audit.record(
                    "audit_anchored", actor=ACTOR, reason="due", at=now, before=None, after=after
                )
        failed = any(said.values())
        self._anchored = 0 if failed else head.seq
        pause = LOOK_SECONDS if failed else settings.AUDIT_ANCHOR_SECONDS
        self._anchor_at = time.monotonic() + pause

    def _verify(self, held: Held, *, now: datetime) -> None:
        """Verify the whole log where that was not done for a day; say what is wrong with it."""
        if AuditCheck.objects.filter(checked_at__gt=now - VERIFIED_EACH).exists():
            return
        try:
            anchored = anchors.read(anchors.path())
        except UnreadableFile:
            anchored = {}  # it vouches for nothing
        found = verification.verify(anchored=anchored, through=_gently)
        finding = "" if found.broken is None else str(found.broken)
        with held.writing():
            AuditCheck.objects.create(
                checked_at=now,
                head=found.head,
                rows=found.rows,
                pending=found.pending,
                finding=finding,
            )
            if finding:
                audit.record(
                    "audit_broken", actor=ACTOR, reason=finding, at=now, before=None, after=None
                )
        if finding:
            logger.critical("THE AUDIT TRAIL IS BROKEN: %s", finding)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                close_old_connections()
                self.look(now=timezone.now())
            except (DatabaseError, InterfaceError) as e:
                self._causes.begin("looking after the audit trail", e)
            else:
                self._causes.end("looking after the audit trail")


def _gently(rows: Rows) -> Rows:
    for number, row in enumerate(rows, start=1):
        if number % PACE_ROWS == 0:
            time.sleep(PACE_SECONDS)
        yield row
