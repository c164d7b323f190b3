"""`manage.py remove_demo_users`: the demo is over, the installation stays."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from execution_site.demo import users


class Command(BaseCommand):
    """Ends the demo's users and keys; they are not made again."""

    help = "End the demo's users and keys. An installation with them takes no live connection."
    requires_system_checks = ()  # the one that refuses them would refuse this too

    def handle(self, *_: Any, **__: Any) -> None:
        """Remove, and say who may sign in next."""
        names = users.remove(actor=getpass.getuser(), now=timezone.now())
        self.stdout.write(f"ended: {', '.join(names) or 'nobody'}")
        self.stdout.write("a user of your own: manage.py createsuperuser")
