"""What the emergency commands share: whom they act for, in which scope, and how they report."""

import getpass
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from brokers.models import BrokerConnection
from orders.control import scopes
from risk.kills import TradingScope

PARTS = ("account", "strategy", "symbol")


class EmergencyCommand(BaseCommand):
    """A command for a scope; without any option it is for everything."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the scope."""
        for part in PARTS:
            parser.add_argument(f"--{part}", help=f"only this {part}")

    def scope(self, options: dict[str, Any]) -> TradingScope:
        """Return the scope that was asked for.

        :raises CommandError: it names something that does not exist
        """
        scope = TradingScope(**{part: options[part] for part in PARTS})
        try:
            scopes.check(scope, accounts=self.accounts())
        except scopes.UnknownScope as e:
            raise CommandError(str(e)) from e
        return scope

    def accounts(self) -> list[str]:
        """Return every account: whoever may run commands here may act on all."""
        return list(BrokerConnection.objects.values_list("name", flat=True))

    def actor(self) -> str:
        """Return who is at the keyboard, for the audit log."""
        return f"{getpass.getuser()} (command)"

    def tell(self, results: Iterable[dict[str, Any]]) -> None:
        """Print what happened, a line an order."""
        rows = list(results)
        for row in rows:
            what = f"{row['symbol']} of {row['account']}" if "symbol" in row else "order"
            self.stdout.write(f"{what} {row['order'] or ''}: {row['result']}")
        if not rows:
            self.stdout.write("Nothing is working or held there.")
