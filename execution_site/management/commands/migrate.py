"""`manage.py migrate`: as Django's, without our time limits, and then the roles' rights."""

from typing import Any

from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import connections, transaction

from execution_site.floor import database_roles

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
        if options["plan"] or options["check_unapplied"]:
            return
        name = options["database"]
        with transaction.atomic(using=name), connections[name].cursor() as cursor:
            roles = database_roles.grant(cursor)
        if database_roles.APPLICATION not in roles:
            self.stderr.write(
                f"There is no role {database_roles.APPLICATION}: the site connects as the owner of"
                " its tables, who can switch their triggers off. See manage.py database_roles."
            )
