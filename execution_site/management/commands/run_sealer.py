"""`manage.py run_sealer`: the sealer of the event log."""

import logging
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, close_old_connections

from execution_site.floor import hearts
from execution_site.floor.leases import LeaseLost
from execution_site.trail import sealer
from execution_site.trail.auditor import Auditor

PAUSE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """Numbers, chains and publishes committed events."""

    help = "Run the sealer: it numbers, chains and publishes committed events."

    def handle(self, *_: Any, **__: Any) -> None:
        """Run until told to stop; a database that is away is waited for."""
        signal.signal(signal.SIGTERM, _leave)
        holder = f"{socket.gethostname()}:{os.getpid()}"
        heart = hearts.begin("sealer")
        Auditor(holder=holder).start()
        while True:
            heart.moved()
            working = sealer.Sealer(holder=holder)
            try:
                sealer.run(working, moved=heart.moved)
            except (DatabaseError, InterfaceError, LeaseLost) as e:
                logger.warning("sealer paused: %s", e)
                close_old_connections()
                time.sleep(PAUSE_SECONDS)
            except (SystemExit, KeyboardInterrupt):
                working.stop()
                raise


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
