"""`manage.py run_demo_strategy`: the demo strategy."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from execution_site.demo import strategy


class Command(BaseCommand):
    """Sends signals over REST, as any strategy would."""

    help = "Run the demo strategy: a moving-average cross that sends signals over REST."

    def handle(self, *_: Any, **__: Any) -> None:
        """Trade until told to stop."""
        strategy.run(f"http://{settings.HOST}:{settings.PORT}")
