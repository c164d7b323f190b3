"""Which quotes matter to an account: for a market that comes faster than each is worth storing."""

from datetime import datetime

from brokers.contract import QuoteUpdate
from brokers.models import BrokerConnection, Instrument, PaperOrder
from brokers.paper import ledger
from brokers.paper.desk import Market, book_of, meet, moves, terms_of

NEWER = 1 << 62  # a quote that is not stored yet is newer than all that are


class Watch:
    """An account's working orders in one instrument, as they stood when they were last read."""

    def __init__(self, connection: BrokerConnection, instrument: Instrument) -> None:
        self._account, self._instrument = connection.name, instrument
        self._terms = terms_of(connection.name, connection.settings)
        self._orders: list[PaperOrder] = []

    def reload(self) -> None:
        """Read the working orders again."""
        working = ledger.working().filter(account=self._account, symbol=self._instrument.symbol)
        self._orders = list(working)

    def concerned(self, update: QuoteUpdate) -> list[int]:
        """Return the orders that a quote would fill, trigger, move or end, oldest first."""
        if not self._orders:
            return []
        market = Market(self._instrument, book_of(update), NEWER, update.as_of)
        return [order.pk for order in self._orders if self._moves(order, market, update.as_of)]

    def _moves(self, order: PaperOrder, market: Market, at: datetime) -> bool:
        if order.expires_at is not None and at >= order.expires_at:
            return True
        most = order.quantity - order.filled_quantity
        return moves(order, meet(order, market, market.book, self._terms, most=most))
