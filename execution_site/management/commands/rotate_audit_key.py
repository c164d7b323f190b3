"""`manage.py rotate_audit_key`: another key for what proves that the application wrote an event."""

import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from execution_site.floor import audit, secret_keys

NAME = "AUDIT_KEY"


class Command(BaseCommand):
    """Puts a new key before the others; events written with those are verified as before."""

    help = "Make a new AUDIT_KEY. Processes write with it once they are restarted."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the reason."""
        parser.add_argument("--reason", required=True)

    def handle(self, *_: Any, reason: str, **__: Any) -> None:
        """Rotate, and say what is left to do."""
        if secret_keys.is_given(NAME):
            raise CommandError(
                f"{NAME} comes from the environment: set it to a new key, put the one before first"
                f" in {NAME}_FALLBACKS, and restart every process."
            )
        with transaction.atomic(durable=True):
            audit.record(
                "rotate_audit_key",
                actor=getpass.getuser(),
                reason=reason,
                at=timezone.now(),
                before=None,
                after=None,
            )
            secret_keys.put_new_first(settings.DATA_DIR, NAME)
        self.stdout.write("a new key is first; restart every process, then they write with it")
