"""`manage.py run`: the whole site."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from execution_site.supervisor import CannotStart, Supervisor


class Command(BaseCommand):
    """Starts everything and watches over it."""

    help = "Run the whole site: services, web, worker, beat, sealer, market loop, demo strategy."
    requires_system_checks = ()  # the database they ask is not there yet; the supervisor checks

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until Ctrl-C."""
        supervisor = Supervisor(
            Path(settings.DATA_DIR), host=settings.HOST, port=settings.PORT, demo=settings.DEMO
        )
        try:
            supervisor.run()
        except CannotStart as e:
            raise CommandError(str(e)) from e
