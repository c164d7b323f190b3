"""`manage.py export_journal`: the trading journal as CSV."""

import csv
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from brokers.models import BrokerConnection
from execution_site.floor.text_files import UnwritableFile, writing
from orders.reports import journal


class Command(BaseCommand):
    """One line per order, by creation."""

    help = "Write the trading journal as CSV: to --output, or to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what to export, and where to."""
        parser.add_argument("--account", help="only this account")
        parser.add_argument("--since", help="created at or after, as 2026-11-20T00:00:00Z")
        parser.add_argument("--until", help="created before")
        parser.add_argument("--output", type=Path)

    def handle(self, *_: Any, account: str | None, output: Path | None, **times: Any) -> None:
        """Export."""
        if account is not None and not BrokerConnection.objects.filter(name=account).exists():
            raise CommandError(f"--account: there is no account {account}")
        since, until = (_time(name, times[name]) for name in ("since", "until"))
        with ExitStack() as stack:
            file = sys.stdout
            if output is not None:
                try:
                    file = stack.enter_context(writing(output))
                except UnwritableFile as e:
                    raise CommandError(str(e)) from e
            writer = csv.writer(file)
            writer.writerow(journal.COLUMNS)
            count = 0
            for line in journal.lines(account=account, since=since, until=until):
                writer.writerow(line)
                count += 1
        self.stderr.write(f"{count} orders")


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--{name}: a time with its zone is expected, as 2026-11-20T00:00:00Z")
    return moment
