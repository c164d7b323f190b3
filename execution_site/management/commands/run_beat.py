"""`manage.py run_beat`: the clock that starts the sweeper."""

from typing import Any

from django.core.management.base import BaseCommand

from execution_site.celery import app
from execution_site.floor import hearts
from execution_site.processes.beat import Scheduler


class Command(BaseCommand):
    """Celery beat with the static schedule of the settings, kept in memory."""

    help = "Run Celery beat: it starts the sweeper each second."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until told to stop."""
        Scheduler.heart = hearts.begin("beat")
        app.Beat(scheduler_cls="execution_site.processes.beat:Scheduler", loglevel="WARNING").run()
