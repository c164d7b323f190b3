"""`manage.py load_sessions`: fills the sessions of exchanges from the calendar kept here."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from brokers.calendars import session_plan, sessions
from execution_site.floor.text_files import UnreadableFile


class Command(BaseCommand):
    """What is generated follows the files; a date that was edited by hand is left as it is."""

    help = "Load the sessions of the exchanges; from then on they are closed at all other times."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add exchanges, span and folder."""
        parser.add_argument("exchanges", nargs="*", help="these exchanges alone")
        parser.add_argument("--from", dest="first", type=date.fromisoformat)
        parser.add_argument("--until", dest="last", type=date.fromisoformat)
        parser.add_argument("--folder", type=Path, default=session_plan.FOLDER)

    def handle(self, *_: Any, exchanges: list[str], folder: Path, **span: Any) -> None:
        """Load, and say what changed."""
        now = timezone.now()
        first = span["first"] or now.date() - timedelta(days=400)
        last = span["last"] or now.date() + timedelta(days=400)
        try:
            planned = list(session_plan.sessions(first, last, folder=folder))
        except (UnreadableFile, session_plan.UnreadableCalendar) as e:
            raise CommandError(str(e)) from e
        wanted = [s for s in planned if not exchanges or s.exchange in exchanges]
        if unknown := sorted(set(exchanges) - {s.exchange for s in wanted}):
            raise CommandError(
                f"no session of {', '.join(unknown)} is known from {first} to {last}"
            )
        counts = sessions.load(wanted, first=first, last=last, actor="console", now=now)
        self.stdout.write(", ".join(f"{count} {what}" for what, count in counts.items()))
