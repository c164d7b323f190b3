"""`manage.py create_api_key`: a key for an API client."""

import getpass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.floor import access
from execution_site.rest.permissions import KeyScope
from orders.models import ApiClient
from orders.models.client import issue_key
from orders.two_persons import guarded_rows
from risk import four_eyes
from risk.change_kinds import ChangeKind

NOBODYS = (
    "It belongs to nobody: what takes two persons it neither proposes nor approves, and in "
    "SUPERVISED mode nobody can approve its signals. `--owner USER` says whose it is."
)

IN_THE_CONSOLE = "add the client, its owner and its accounts in the console, then make its key"
WAITS = (
    "Keys take two persons: this one has ended as it was made, and is good for nothing until one"
    " person gives it a later end, or none, in the console and a second approves it."
)


def _moment(text: str) -> datetime:
    """Return a time to come.

    :raises ValueError: it is none, or over
    """
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at <= timezone.now():
        raise ValueError(text)
    return at


class Command(BaseCommand):
    """Prints the secret once, alone on the last line."""

    help = "Make an API key and print PREFIX.SECRET, once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the client, its scopes and accounts."""
        parser.add_argument("name", help="the API client; made when it is new")
        parser.add_argument("--scopes", default="read,trade", help=f"of {', '.join(KeyScope)}")
        parser.add_argument("--accounts", default="", help="names, by commas")
        parser.add_argument("--owner", help="the user whose client this is")
        parser.add_argument("--networks", default="", help="where it is good from: CIDR, by commas")
        parser.add_argument("--expires", type=_moment, help="until when it is good: ISO 8601")

    def handle(
        self,
        *_: Any,
        name: str,
        scopes: str,
        accounts: str,
        owner: str | None,
        networks: str,
        expires: datetime | None,
        **__: Any,
    ) -> None:
        """Make it."""
        wanted = [scope for scope in scopes.split(",") if scope]
        if unknown := set(wanted) - {scope.value for scope in KeyScope}:
            raise CommandError(f"no such scope: {', '.join(sorted(unknown))}")
        names = [account for account in accounts.split(",") if account]
        rows = list(BrokerConnection.objects.filter(name__in=names))
        if missing := set(names) - {row.name for row in rows}:
            raise CommandError(f"no such account: {', '.join(sorted(missing))}")
        person = None if owner is None else User.objects.filter(username=owner).first()
        if owner is not None and person is None:
            raise CommandError(f"no such user: {owner}")
        with transaction.atomic(durable=True):
            access.acting(f"{getpass.getuser()} (manage.py)", "create_api_key")
            client = ApiClient.objects.filter(name=name).first() or ApiClient(name=name)
            client.owner = person or client.owner
            held = [] if client.pk is None else list(client.accounts.all())
            new = guarded_rows.wanted(client, {"accounts": {*held, *rows}})
            if (kind := guarded_rows.kind_for_two(client, new)) is not None:
                raise CommandError(f"{kind} takes two persons: {IN_THE_CONSOLE}")
            client.save()
            client.accounts.add(*rows)
            try:
                key, text = issue_key(
                    client, scopes=wanted, networks=networks.split(","), expires_at=expires
                )
            except ValueError as e:
                raise CommandError(f"no network: {e}") from e
        if client.person_id is None:
            self.stdout.write(NOBODYS)
        if four_eyes.takes_two(ChangeKind.KEY):
            self.stdout.write(WAITS)
        self.stdout.write(f"Key {key.prefix} of {client.name}. The secret is shown this once:")
        self.stdout.write(text)
