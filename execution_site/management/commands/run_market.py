"""`manage.py run_market`: the market loop."""

import logging
import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, close_old_connections

from execution_site.demo.chain import DemoMarket
from execution_site.floor import hearts
from execution_site.floor.leases import LeaseLost
from orders.market.loop import Feed, MarketLoop, run

PAUSE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Feeds quotes in, matches paper orders, follows the venues, pushes latest values."""

    help = "Run the market loop. FEED chooses where quotes come from: synthetic or none."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until told to stop; a database that is away is waited for."""
        loop = MarketLoop(_feed(), holder=f"{socket.gethostname()}:{os.getpid()}")
        heart = hearts.begin("market")
        while True:
            heart.moved()
            try:
                run(loop, moved=heart.moved)
            except (DatabaseError, InterfaceError, LeaseLost) as e:
                logger.warning("market loop paused: %s", e)
                close_old_connections()
                time.sleep(PAUSE_SECONDS)


def _feed() -> Feed | None:
    match settings.FEED:
        case "synthetic":
            return DemoMarket(settings.FEED_SEED)
        case "none":
            return None
        case other:
            raise CommandError(f"FEED must be synthetic or none, not {other!r}")
