"""`manage.py load_instruments`: the instrument master from a CSV file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from brokers.instruments import instrument_import
from execution_site.floor.text_files import UnreadableFile


class Command(BaseCommand):
    """All of the file or nothing. Running it again changes nothing."""

    help = (
        "Load instruments, and with effective_from their terms from a date on; says what changes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the file, and whether only to look."""
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--preview", action="store_true", help="say what a load would say, and change nothing"
        )

    def handle(self, *_: Any, file: Path, preview: bool, **__: Any) -> None:
        """Say what changes, and change it."""
        now, reason = timezone.now(), f"load_instruments {file.name}"
        try:
            loaded = instrument_import.load(
                file, preview=preview, actor="console", reason=reason, now=now
            )
        except UnreadableFile as e:
            raise CommandError(str(e)) from e
        except instrument_import.CannotLoad as e:
            raise CommandError(f"{file}: nothing was loaded\n{e}") from e
        for change in loaded.changes:
            self.stdout.write(str(change))
        self.stdout.write(f"{loaded.lines} lines; {len(loaded.changes)} rows changed")
        if preview:
            self.stderr.write("A preview: this is what a load says, and nothing was kept.")
