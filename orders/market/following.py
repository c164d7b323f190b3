"""Following venues beside the market loop: a thread for each account, none waits for another."""

import logging
import threading
from collections.abc import Iterable

from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from brokers.contract import BrokerError
from execution_site.floor.leases import Held, LeaseLost
from execution_site.floor.outages import Causes
from orders.sending import venue_queries

SETTLE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Followers:
    """Reads the reports of accounts when it is told to; an account is never followed twice at once.

    A venue that hangs keeps its own thread and nothing else: neither a lease nor a transaction is
    open while it is asked, and what it says in the end counts only where nobody was faster.
    """

    def __init__(self) -> None:
        self._causes = Causes(logger, settle=SETTLE_SECONDS)
        self._followers: dict[int, _Follower] = {}

    def follow(self, accounts: Iterable[tuple[str, int]], held: Held) -> None:
        """Have a page of each account's reports read soon, unless one is being read.

        What is booked is fenced by the lease.
        """
        for account, connection_id in accounts:
            follower = self._followers.get(connection_id)
            if follower is None:
                follower = _Follower(account, connection_id, self._causes)
                self._followers[connection_id] = follower
                follower.start()
            follower.held = held
            follower.wanted.set()


class _Follower(threading.Thread):
    """Follows one account, a page whenever it is wanted."""

    held: Held

    def __init__(self, account: str, connection_id: int, causes: Causes) -> None:
        super().__init__(name=f"follow-{account}", daemon=True)
        self.account, self.connection_id = account, connection_id
        self.wanted = threading.Event()
        self._causes = causes

    def run(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            self._follow()

    def _follow(self) -> None:
        what = f"following {self.account}"
        try:
            close_old_connections()
            venue_queries.follow(
                self.account, self.connection_id, now=timezone.now(), held=self.held
            )
        except LeaseLost:
            return  # whoever has it now follows
        except Exception as e:  # noqa: BLE001 the outermost frame of the thread: the next round tries again
            foreseen = isinstance(e, BrokerError | OperationalError | InterfaceError)
            self._causes.begin(what, e, trace=not foreseen)
        else:
            self._causes.end(what)
