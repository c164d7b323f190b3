"""`manage.py replay`: folds the fills again and compares."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.reports import agreement


class Command(BaseCommand):
    """Says where orders, positions or the paper ledger differ from the fills."""

    help = "Fold all fills again; --check exits 1 on any difference to what is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the check and the accounts."""
        parser.add_argument("--check", action="store_true", help="compare, and change nothing")
        parser.add_argument("--account", action="append", help="only this one; may be repeated")

    def handle(self, *_: Any, check: bool, account: list[str] | None, **__: Any) -> None:
        """Compare."""
        if not check:
            raise CommandError("only --check is supported by this build")
        found = 0
        for difference in agreement.differences(account):
            self.stdout.write(difference)
            found += 1
        self.stdout.write(f"{found} differences" if found else "everything agrees")
        if found:
            sys.exit(1)
