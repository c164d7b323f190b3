"""`manage.py create_api_key`: a key for an API client."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from brokers.models import BrokerConnection
from orders.clients import ApiClient, Scope, issue_key


class Command(BaseCommand):
    """Prints the secret once, alone on the last line."""

    help = "Make an API key and print PREFIX.SECRET, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the client, its scopes and accounts."""
        parser.add_argument("name", help="the API client; made when it is new")
        parser.add_argument(
            "--scopes", default="read,trade", help="of read, trade, control, approve"
        )
        parser.add_argument("--accounts", default="", help="names, by commas")

    def handle(self, *_: Any, name: str, scopes: str, accounts: str, **__: Any) -> None:
        """Make it."""
        wanted = [scope for scope in scopes.split(",") if scope]
        if unknown := set(wanted) - {scope.value for scope in Scope}:
            raise CommandError(f"no such scope: {', '.join(sorted(unknown))}")
        names = [account for account in accounts.split(",") if account]
        rows = list(BrokerConnection.objects.filter(name__in=names))
        if missing := set(names) - {row.name for row in rows}:
            raise CommandError(f"no such account: {', '.join(sorted(missing))}")
        with transaction.atomic(durable=True):
            client, _created = ApiClient.objects.get_or_create(name=name)
            client.accounts.add(*rows)
            key, text = issue_key(client, scopes=wanted)
        self.stdout.write(f"Key {key.prefix} of {client.name}. The secret is shown this once:")
        self.stdout.write(text)
