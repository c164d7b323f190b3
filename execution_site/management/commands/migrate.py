"""`manage.py migrate`: as Django's, without the time limits that hold for everything else."""

from typing import Any

from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import connections

#: A migration may rewrite a table of millions of rows in one statement and one transaction.
UNLIMITED = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")


class Command(DjangoCommand):
    """Brings the schema up to date, however long it takes."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Lift the limits for this session, then migrate."""
        with connections[options["database"]].cursor() as cursor:
            for name in UNLIMITED:
                cursor.execute(f"SET {name} = 0")
        super().handle(*args, **options)
