"""How long each send has been under way, by this process's monotonic clock, which nobody can set.

A wall clock, the database server's too, may be set forward by hours while a sender is on its way:
what counts from it calls the sender lost and its order absent. The times here are the monotonic
clock's, and each process counts what it has seen itself: after a restart they begin anew, and what
another process saw does not count. So a lost send is found later than it might be, never too early.
"""

import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from orders.models import Order, Replacement

monotonic = time.monotonic


@dataclass(slots=True)
class _Send:
    """What is known of a send, in seconds of the monotonic clock."""

    since: float = field(default_factory=lambda: monotonic())
    absent_since: float | None = None


_sends: dict[Hashable, _Send] = {}


def claim(order: Order) -> Hashable:
    """Return the name of an order's claim; each claim of it is another send."""
    return ("order", order.pk, order.claimed_at)


def new_terms(row: Replacement) -> Hashable:
    """Return the name of an attempt to send new terms."""
    return ("terms", row.pk, row.attempts)


def see(names: Iterable[Hashable]) -> None:
    """Note what is under way now, and forget what no longer is."""
    still = set(names)
    for gone in _sends.keys() - still:
        _sends.pop(gone, None)
    for name in still:
        _sends.setdefault(name, _Send())


def since(name: Hashable) -> float:
    """Return when a send was first known of here, which may be just now."""
    return _sends.setdefault(name, _Send()).since


def absent_since(name: Hashable, *, asked_at: float) -> float:
    """Note that a venue, asked then, did not know of a send; return when it first did not."""
    send = _sends.setdefault(name, _Send())
    if send.absent_since is None:
        send.absent_since = asked_at
    return send.absent_since
