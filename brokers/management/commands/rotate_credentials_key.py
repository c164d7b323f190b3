"""`manage.py rotate_credentials_key`: another key for credentials and authenticators."""

import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from brokers import credentials
from brokers.models import BrokerConnection
from execution_site.floor import audit, locks, secret_keys
from execution_site.sign_in import devices

NAME = "CREDENTIALS_KEY"


class Command(BaseCommand):
    """Makes a key, or takes the one given, and seals every secret with it."""

    help = "Seal credentials and authenticators under a new key; the one before still opens."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the reason."""
        parser.add_argument("--reason", required=True)

    def handle(self, *_: Any, reason: str, **__: Any) -> None:
        """Rotate, and say what was done."""
        if not secret_keys.is_given(NAME):
            key = secret_keys.put_new_first(settings.DATA_DIR, NAME)[0]
        elif settings.CREDENTIALS_KEY_FALLBACKS:
            key = settings.CREDENTIALS_KEY
        else:
            raise CommandError(
                f"{NAME} comes from the environment: set it to a new key and {NAME}_FALLBACKS to"
                " the one before, restart every process, then run this again."
            )
        with transaction.atomic(durable=True):
            sealed = BrokerConnection.objects.exclude(credentials_sealed=b"")
            rows = list(locks.for_update(sealed.order_by("pk")))
            for row in rows:
                row.credentials_sealed = credentials.seal(
                    row.read_credentials(), row_id=row.pk, key=key
                )
                row.save(update_fields=["credentials_sealed"])
            authenticators = devices.reseal(key=key)
            audit.record(
                "rotate_credentials_key",
                actor=getpass.getuser(),
                reason=reason,
                at=timezone.now(),
                before=None,
                after={"connections": len(rows), "authenticators": authenticators},
            )
        self.stdout.write(
            f"{len(rows)} connections and {authenticators} authenticators sealed under the new key"
        )
