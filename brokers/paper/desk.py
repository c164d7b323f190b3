"""The desk that deals for one account of the paper venue, while it holds the account's lock."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery

from brokers import calendars
from brokers.contract import (
    BrokerUnavailable,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    VenueStatus,
)
from brokers.models import BrokerConnection, Instrument
from brokers.paper.ledger import ALIAS
from brokers.paper.matching import Book, Execution, commission, match_order
from brokers.paper.models import PaperOrder, PaperReport
from brokers.paper.rules import InvalidTerms, Terms, refusal

INSTANT = timedelta(microseconds=1)
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Market:
    """An instrument and what is quoted for it now."""

    instrument: Instrument
    book: Book


def markets(symbols: Collection[str]) -> dict[str, Market]:
    """Return the markets of those symbols that exist."""
    known = Instrument.objects.using(ALIAS).filter(symbol__in=symbols).select_related("quote")
    return {instrument.symbol: Market(instrument, _book(instrument)) for instrument in known}


def execution(
    order: PaperOrder, market: Market, book: Book, terms: Terms, *, rested: bool
) -> Execution | None:
    """Return what of an order fills against a book, or None."""
    return match_order(
        book,
        side=Side(order.side),
        quantity=order.quantity - order.filled_quantity,
        order_type=OrderType(order.order_type),
        limit_price=order.limit_price,
        rested=rested,
        slippage_basis_points=terms.slippage_basis_points,
        tick_size=market.instrument.tick_size,
    )


class Desk:
    """Deals in memory and writes it all at the end.

    What one order takes from a quote is gone for the account's next order at this desk. Each line
    is a microsecond later than the account's line before it, whatever the clocks do: the venue's
    order of executions is the order of their times.

    :raises BrokerUnavailable: there is no such account, or its terms are unusable
    """

    def __init__(self, account: str, symbols: Collection[str], *, now: datetime) -> None:
        lines = PaperReport.objects.using(ALIAS).filter(account=OuterRef("name"))
        latest = Subquery(lines.order_by("-id").values("at")[:1])
        named = BrokerConnection.objects.using(ALIAS).annotate(latest_at=latest)
        connection = named.filter(name=account).first()
        if connection is None:
            raise BrokerUnavailable(f"there is no account {account}")
        try:
            self.terms = Terms.of(connection.settings)
        except InvalidTerms as e:
            raise BrokerUnavailable(f"settings of {account}: {e}") from e
        self.connection = connection
        self.markets = markets(symbols)
        self.lines: list[PaperReport] = []
        self._left = {symbol: market.book for symbol, market in self.markets.items()}
        self._told: list[tuple[PaperOrder, dict[str, Any]]] = []
        self._at = now
        if connection.latest_at is not None:
            self._at = max(now, connection.latest_at + INSTANT)

    def receive(self, request: OrderRequest) -> PaperOrder:
        """Take an order and fill what the quote allows, or refuse it; both are recorded."""
        market = self.markets.get(request.symbol)
        order = PaperOrder(
            account=self.connection.name,
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side.value,
            quantity=request.quantity,
            order_type=request.order_type.value,
            time_in_force=request.time_in_force.value,
            limit_price=request.limit_price,
            received_at=self._at,
        )
        tradable = None if market is None else market.instrument.is_tradable
        if reason := refusal(request, is_tradable=tradable):
            self.end(order, VenueStatus.REJECTED, reason)
            return order
        if request.time_in_force is TimeInForce.DAY:
            order.expires_at = self._day_end()
        self._tell(order, VenueStatus.ACCEPTED)
        self.work(order, rested=False)
        return order

    def work(self, order: PaperOrder, *, rested: bool) -> None:
        """Fill what the quote allows of an order."""
        market, book = self.markets[order.symbol], self._left[order.symbol]
        done = execution(order, market, book, self.terms, rested=rested)
        if done is None:
            return
        self._left[order.symbol] = book.without(Side(order.side), done.quantity)
        order.filled_quantity += done.quantity
        full = order.filled_quantity == order.quantity
        self._tell(
            order,
            VenueStatus.FILLED if full else VenueStatus.PARTIALLY_FILLED,
            quantity=done.quantity,
            price=done.price,
            commission=commission(
                quantity=done.quantity,
                price=done.price,
                multiplier=market.instrument.multiplier,
                basis_points=self.terms.commission_basis_points,
            ),
            commission_currency=market.instrument.currency,
            liquidity=done.liquidity.value,
            flags=list(done.flags),
        )

    def end(self, order: PaperOrder, status: VenueStatus, reason: str) -> None:
        """End an order without an execution."""
        order.reason = reason[:REASON_LENGTH]
        self._tell(order, status)

    def write(self) -> None:
        """Write the orders, then their lines, whose ids follow the order of dealing."""
        orders = list({id(order): order for order, _ in self._told}.values())
        held = [order for order in orders if order.pk is not None]
        fields = ["status", "reason", "filled_quantity", "updated_at"]
        PaperOrder.objects.using(ALIAS).bulk_update(held, fields)
        PaperOrder.objects.using(ALIAS).bulk_create(o for o in orders if o.pk is None)
        self.lines = PaperReport.objects.using(ALIAS).bulk_create(
            PaperReport(order=order, **told) for order, told in self._told
        )

    def _tell(self, order: PaperOrder, status: VenueStatus, **execution: Any) -> None:
        """Add a line: the order as it now stands, with an execution where there is one."""
        order.status, order.updated_at = status.value, self._at
        line = {
            "account": order.account,
            "status": order.status,
            "reason": order.reason,
            "filled_quantity": order.filled_quantity,
            "at": self._at,
            **execution,
        }
        self._told.append((order, line))
        self._at += INSTANT

    def _day_end(self) -> datetime:
        """Return when the account's trading day ends."""
        roll, zone = self.connection.day_roll_time, self.connection.day_roll_zone
        return calendars.day_end(self.connection.trading_date(self._at), roll=roll, zone=zone)


def _book(instrument: Instrument) -> Book:
    quote = getattr(instrument, "quote", None)
    if quote is None:
        return Book()
    return Book(quote.bid, quote.ask, quote.bid_size, quote.ask_size, quote.last)
