"""`manage.py run`: the whole site."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from execution_site.demo import seed
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.supervisor import CannotStart, Supervisor


class Command(BaseCommand):
    """Starts everything and watches over it; a failed system check stops it before anything."""

    help = "Run the whole site: services, web, worker, beat, sealer, market loop, demo strategy."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until Ctrl-C."""
        try:
            Supervisor(
                Path(settings.DATA_DIR),
                host=settings.HOST,
                port=settings.PORT,
                named=_named(settings.ALLOWED_HOSTS),
                sign_ins=seed.USERS if settings.DEMO else None,
            ).run()
        except (CannotStart, ServiceFailed) as e:
            raise CommandError(str(e)) from e


def _named(allowed_hosts: list[str]) -> str:
    """Return a host name that the site answers to."""
    return next((host.lstrip(".") for host in allowed_hosts if "*" not in host), "localhost")
