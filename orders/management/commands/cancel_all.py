"""`manage.py cancel_all`: cancel the working orders of everything, or of a part."""

from typing import Any

from django.utils import timezone

from orders.control import emergency, mass_actions
from orders.management.emergency_command import EmergencyCommand


class Command(EmergencyCommand):
    """Asks for cancels; each order's result is told."""

    help = "Cancel every working order in the scope."

    def handle(self, *_: Any, **options: Any) -> None:
        """Cancel, and say per order what happened."""
        action = emergency.cancel_all(
            self.scope(options), accounts=self.accounts(), actor=self.actor(), now=timezone.now()
        )
        self.tell(mass_actions.describe(action)["cancelled"])
