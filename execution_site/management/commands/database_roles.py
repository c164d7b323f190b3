"""`manage.py database_roles`: the SQL that makes the roles on a PostgreSQL of one's own."""

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from execution_site.floor import database_roles
from execution_site.floor.database_roles import APPLICATION, OWNER, READER


class Command(BaseCommand):
    """Prints; a database administrator runs it. `migrate`, as the owner, then grants the rights."""

    help = "Print the SQL that makes the application's and the reader's role, with new passwords."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add whom the database belongs to."""
        parser.add_argument("--owner", default=OWNER, help="the role that owns the database")

    def handle(self, *_: Any, owner: str, **__: Any) -> None:
        """Print a statement a line."""
        self.stdout.write(f"-- As a superuser, where {owner} owns the database. Then migrate with")
        self.stdout.write(f"-- DATABASE_OWNER_URL of {owner} and run the site with DATABASE_URL")
        self.stdout.write(f"-- of {APPLICATION}.")
        for role in (APPLICATION, READER):
            for statement in database_roles.creation(role, secrets.token_urlsafe(32), owner=owner):
                self.stdout.write(f"{statement};")
