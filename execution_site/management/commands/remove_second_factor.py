"""`manage.py remove_second_factor`: somebody has lost their authenticator and recovery codes."""

import getpass
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from execution_site.sign_in import second_factor
from execution_site.sign_in.sign_ins import SignIn


class Command(BaseCommand):
    """Takes a person's authenticator and recovery codes, and ends their sign-ins."""

    help = "Remove a person's lost authenticator; staff enrol another when they next sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the person and the reason."""
        parser.add_argument("username")
        parser.add_argument("--reason", required=True)

    def handle(self, *_: Any, username: str, reason: str, **__: Any) -> None:
        """Remove, and say whether there was any."""
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"username: nobody is called {username}")
        actor, now = getpass.getuser(), timezone.now()
        removed = second_factor.remove(user, actor=actor, reason=reason, now=now)
        SignIn.objects.filter(user=user).delete()
        self.stdout.write(f"{username}: {'removed' if removed else 'there was none'}; signed out")
