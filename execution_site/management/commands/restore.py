"""`manage.py restore PATH`: puts a copy of the database back, to reconcile before it trades."""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from execution_site.installation import copies


class Command(BaseCommand):
    """Keeps the database that was there under another name."""

    help = "Put a copy of the database in its place. The site must not run; it reconciles first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where from, who and why."""
        parser.add_argument("path", type=Path, help="a file that backup wrote")
        parser.add_argument("--actor", required=True, help="who puts it back")
        parser.add_argument("--reason", required=True, help="why")

    def handle(self, *_: Any, path: Path, actor: str, reason: str, **__: Any) -> None:
        """Put it back, and say what comes next."""
        if not path.exists():
            raise CommandError(f"{path}: no such file")
        started = time.monotonic()
        try:
            held, kept = copies.put_back(path, actor=actor, reason=reason, now=timezone.now())
        except copies.CopyFailed as e:
            raise CommandError(str(e)) from e
        self.stdout.write(
            f"restored in {time.monotonic() - started:.1f} s; what was there is database {kept}\n"
            f"{held.in_doubt} orders in doubt, {held.working} working,"
            f" {held.withdrawn} actions and closings withdrawn\n"
            "Start the site: it asks the venues and sends nothing new. When it agrees with them,"
            " release the kill switch in the console, or: manage.py confirm_restore"
        )
