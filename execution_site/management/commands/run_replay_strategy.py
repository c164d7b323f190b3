"""`manage.py run_replay_strategy`: the strategy that a replay starts."""

import os
import sys
from decimal import Decimal
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser

from execution_site.demo import replay_strategy
from execution_site.demo.moving_average import Cross


class Command(BaseCommand):
    """Takes part in a replay in lock-step; `replay_market` sets its environment and its input."""

    help = "A moving-average cross that takes part in a replay. Started by replay_market."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the averages and the size."""
        parser.add_argument("--fast", type=int, default=20, help="quotes (20)")
        parser.add_argument("--slow", type=int, default=50, help="quotes (50)")
        parser.add_argument("--quantity", type=Decimal, required=True)

    def handle(self, *_: Any, fast: int, slow: int, quantity: Decimal, **__: Any) -> None:
        """Trade until the input ends."""
        if not 0 < fast < slow:
            raise CommandError("--fast must be from 1 to below --slow")
        try:
            url, key, account = (os.environ[f"REPLAY_{name}"] for name in ("URL", "KEY", "ACCOUNT"))
        except KeyError as e:
            raise CommandError(f"{e} is not set: replay_market starts this command") from e
        headers = {"Authorization": f"Api-Key {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            replay_strategy.run(
                client,
                account=account,
                strategy=f"ma_{fast}_{slow}",
                cross=Cross(fast, slow),
                quantity=quantity,
                lines=sys.stdin,
                answers=sys.stdout,
            )
