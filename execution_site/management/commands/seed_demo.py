"""`manage.py seed_demo`: the demo's users, account, instruments and limits."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from execution_site.demo import seed


class Command(BaseCommand):
    """Makes what is missing of the demo; what is there is kept."""

    help = "Make the demo's users, paper account, instruments, limits and strategy key."

    def handle(self, *_: Any, **__: Any) -> None:
        """Seed and say what was done."""
        created = seed.seed(now=timezone.now())
        self.stdout.write("demo made" if created else "demo is there already")
