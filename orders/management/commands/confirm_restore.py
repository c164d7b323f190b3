"""`manage.py confirm_restore`: a person says that a restored state agrees with its venues."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from execution_site.floor.audit import Actor
from orders.control import emergency
from orders.two_persons import proposals
from risk import control
from risk.change_kinds import ChangeKind
from risk.four_eyes import SamePerson


class Command(BaseCommand):
    """Releases the kill switch of everything, as the console does; four eyes hold here too."""

    help = "Let a restored site trade again, once nothing is in doubt any more."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add who and why."""
        parser.add_argument("--actor", required=True, help="who has looked, by user name")
        parser.add_argument("--reason", required=True, help="what was found")

    def handle(self, *_: Any, actor: str, reason: str, **__: Any) -> None:
        """Release, or say what stands against it."""
        person = User.objects.filter(username=actor).values_list("pk", flat=True).first()
        try:
            proposed = proposals.propose_or_apply(
                ChangeKind.KILL_RELEASE,
                target=str(control.EVERYTHING),
                after=control.EVERYTHING.as_json(),
                actor=Actor(actor, person),
                reason=reason,
                now=timezone.now(),
            )
        except (emergency.NotReleasable, SamePerson) as e:
            raise CommandError(str(e)) from e
        said = "released" if proposed is None else "proposed: a second person must approve it"
        self.stdout.write(f"the kill switch is {said}")
