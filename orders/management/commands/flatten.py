"""`manage.py flatten`: cancel and close what is held, of everything or of a part."""

import sys
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from orders.control import emergency, mass_actions
from orders.management.emergency_command import EmergencyCommand


class Command(EmergencyCommand):
    """Closes positions through the gate; what could not be closed yet is named."""

    help = "Cancel every working order in the scope, then close every position in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the scope and the reason."""
        super().add_arguments(parser)
        parser.add_argument("--reason", required=True, help="kept in the audit log")

    def handle(self, *_: Any, **options: Any) -> None:
        """Flatten, and say per order what happened; exit 1 where something stays open."""
        action = emergency.flatten(
            self.scope(options),
            accounts=self.accounts(),
            actor=self.actor(),
            reason=options["reason"],
            now=timezone.now(),
        )
        done = mass_actions.describe(action)
        self.tell([*done["cancelled"], *done["closed"]])
        if any(row["order"] is None for row in done["left"]["positions"]):
            self.stdout.write(f"Not closed yet: the workers go on (action {action.pk}).")
            sys.exit(1)
