"""The database backend that settings name."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from execution_site.floor import outages


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of Django's that is looked at, once a request, without a round trip.

    Whoever connects logs, once for its process, that the database is away or back.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect.

        :raises psycopg.OperationalError: the database is away
        """
        try:
            connection = super().get_new_connection(conn_params)
        except psycopg.OperationalError as e:
            outages.services.begin(outages.DATABASE, e)
            raise
        outages.services.end(outages.DATABASE)
        return connection

    @property
    def queries_logged(self) -> bool:
        """Tell whether statements are kept: for whoever counts them, whatever DEBUG says.

        Requests empty that log. Workers and loops have none: they would keep thousands for each
        connection.
        """
        return bool(self.force_debug_cursor)

    def is_usable(self) -> bool:
        """Tell whether the connection still stands.

        A server that ends or restarts closes its connections, which makes them readable; one that
        has said nothing unasked is taken at its word. Only else is it asked.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return True if not poll.poll(0) else bool(super().is_usable())
