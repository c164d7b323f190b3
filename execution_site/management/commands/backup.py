"""`manage.py backup PATH`: a copy of the database, while the site runs."""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from execution_site.installation import copies


class Command(BaseCommand):
    """Writes one file, for its user alone."""

    help = "Copy the database to a file; the site may run. The keys of the site are not in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add where to."""
        parser.add_argument("path", type=Path, help="the file to write")

    def handle(self, *_: Any, path: Path, **__: Any) -> None:
        """Copy, and say how long it took."""
        started = time.monotonic()
        try:
            size = copies.take(path)
        except copies.CopyFailed as e:
            raise CommandError(str(e)) from e
        self.stdout.write(f"{path}: {size / 1e6:.1f} MB, {time.monotonic() - started:.1f} s")
