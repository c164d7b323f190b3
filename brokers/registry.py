"""Which adapter speaks for which account."""

from collections.abc import Callable, Mapping

from brokers.contract import BrokerAdapter, BrokerUnavailable
from brokers.guarded import GuardedAdapter
from brokers.models import Broker, BrokerConnection
from brokers.paper.venue import PaperVenue

ADAPTERS: Mapping[str, Callable[[str], BrokerAdapter]] = {Broker.PAPER.value: PaperVenue}

_adapters: dict[str, GuardedAdapter] = {}


class NoAdapter(BrokerUnavailable):
    """There is no such account, or nothing here speaks its broker's protocol."""


def adapter_for(account: str) -> GuardedAdapter:
    """Return the guarded adapter of an account, one per process.

    :raises NoAdapter: there is no such account, or no adapter for its broker
    """
    if (adapter := _adapters.get(account)) is None:
        broker = BrokerConnection.objects.filter(name=account).values_list("broker", flat=True)
        if (name := broker.first()) is None:
            raise NoAdapter(f"there is no account {account}")
        if name not in ADAPTERS:
            raise NoAdapter(f"no adapter speaks to {name}, the broker of {account}")
        # Two threads may both make one; either is as good, and one stays.
        adapter = _adapters.setdefault(account, GuardedAdapter(account, ADAPTERS[name](account)))
    return adapter
