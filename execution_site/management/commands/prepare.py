"""`manage.py prepare`: what must be done before the site may run."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from execution_site.floor import release
from execution_site.installation import copies


class Command(BaseCommand):
    """Migrates, then checks what the database says, then makes the demo, in one process."""

    help = "Bring the database up to date, check it and, with DEMO=1, make the demo."
    requires_system_checks = ()  # those that ask the database would ask tables not there yet

    def handle(self, *_: Any, **__: Any) -> None:
        """Do all three, saying how long the database took."""
        started = time.monotonic()
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # else WhiteNoise warns
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        self.stdout.write(f"database up to date, {time.monotonic() - started:.1f} s")
        if copies.hold_older_state(now=timezone.now()) is not None:
            self.stdout.write(
                "the database is older than its anchors: the site reconciles and sends nothing new"
                " until the kill switch is released (manage.py confirm_restore)"
            )
        self.check(databases=["default"])
        release.install(now=timezone.now())
        if settings.DEMO:
            call_command("seed_demo", stdout=self.stdout)
