"""Which adapter speaks for which account."""

from brokers.contract import BrokerAdapter, BrokerUnavailable
from brokers.models import Broker, BrokerConnection
from brokers.paper.venue import PaperVenue

_adapters: dict[str, BrokerAdapter] = {}


def adapter_for(account: str) -> BrokerAdapter:
    """Return the adapter of an account, one per process.

    :raises BrokerUnavailable: there is no such account, or no adapter for its broker
    """
    if (adapter := _adapters.get(account)) is None:
        connection = BrokerConnection.objects.filter(name=account).first()
        if connection is None or connection.broker != Broker.PAPER:
            raise BrokerUnavailable(f"no adapter for account {account}")
        adapter = _adapters[account] = PaperVenue(account)
    return adapter
