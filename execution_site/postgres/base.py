"""The database backend that settings name."""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of Django's that is looked at, once a request, without a round trip."""

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
