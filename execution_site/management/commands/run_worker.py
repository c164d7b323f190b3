"""`manage.py run_worker`: the Celery worker."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from execution_site.processes import worker


class Command(BaseCommand):
    """Submits, cancels and monitors orders."""

    help = "Run the Celery worker that submits, cancels and monitors orders."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until told to stop."""
        sys.exit(worker.run())
