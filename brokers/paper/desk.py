"""The desk that deals for one account of the paper venue, while it holds the account's lock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from brokers.calendars import trading_days
from brokers.contract import (
    BarPart,
    BrokerUnavailable,
    OrderRequest,
    OrderTerms,
    OrderType,
    QuoteUpdate,
    Side,
    TimeInForce,
    VenueStatus,
)
from brokers.models import Instrument, PaperHolding, PaperOrder, PaperReport, Quote
from brokers.paper import matching, reading, writing
from brokers.paper.ledger import ALIAS
from brokers.paper.matching import CONTEXT, ZERO, Book, Execution, Outcome, Working, commission
from brokers.paper.rules import AT_ONCE, InvalidTerms, PaperSettings, bad_prices, refusal

INSTANT = timedelta(microseconds=1)
NO_PARTS: Mapping[str, BarPart] = MappingProxyType({})
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Market:
    """An instrument and what is quoted for it now; `number` is the quote's own, 0 without one."""

    instrument: Instrument
    book: Book
    number: int
    as_of: datetime | None


def markets(symbols: Collection[str]) -> dict[str, Market]:
    """Return the markets of those symbols that exist."""
    known = Instrument.objects.using(ALIAS).filter(symbol__in=symbols).select_related("quote")
    return {instrument.symbol: _market(instrument) for instrument in known}


def book_of(quote: Quote | QuoteUpdate) -> Book:
    """Return a quote as the venue sees it."""
    return Book(
        quote.bid,
        quote.ask,
        quote.bid_size,
        quote.ask_size,
        quote.last,
        quote.last_size,
        quote.has_book,
        quote.bar,
    )


def terms_of(account: str, settings: Mapping[str, Any]) -> PaperSettings:
    """Return an account's terms.

    :raises BrokerUnavailable: they are unusable
    """
    try:
        return PaperSettings.of(settings)
    except InvalidTerms as e:
        raise BrokerUnavailable(f"settings of {account}: {e}") from e


def meet(
    order: PaperOrder, market: Market, book: Book, terms: PaperSettings, *, most: Decimal
) -> Outcome | None:
    """Return what a quote does to an order of at most `most`; None where it does not count for it.

    An order meets each quote once, and none from before it became active.
    """
    if market.number <= order.quote_number or market.as_of is None:
        return None
    if order.active_at is not None and market.as_of < order.active_at:
        return None
    return matching.match_order(
        book,
        _working(order, most),
        model=terms.model,
        tick_size=market.instrument.tick_size,
        lot_size=market.instrument.lot_size,
        quote=f"{market.as_of.isoformat()} {book.bid} {book.ask} {book.last}",
    )


def moves(order: PaperOrder, outcome: Outcome | None) -> bool:
    """Tell whether an outcome changes anything that is kept of an order."""
    if outcome is None:
        return False
    rests = outcome.rests and not order.rested
    ahead = outcome.queue_ahead != order.queue_ahead
    return outcome.execution is not None or outcome.triggered or rests or ahead


class Desk:
    """Deals in memory and writes it all at the end.

    What one order takes from a quote is gone for the account's other orders. Each line is a
    microsecond later than the account's line before it, whatever the clocks do: the venue's order
    of executions is the order of their times, which are the market's.

    :raises BrokerUnavailable: there is no such account, or its terms are unusable
    """

    def __init__(
        self,
        account: str,
        symbols: Collection[str],
        *,
        now: datetime,
        parts: Mapping[str, BarPart] = NO_PARTS,
    ) -> None:
        """Open an account's desk; `now` is the wall's time, which a replayed account ignores.

        `parts` says of symbols what their quotes are of a bar, to orders that worked before it.
        """
        opened = reading.account(account, symbols)
        if opened is None:
            raise BrokerUnavailable(f"there is no account {account}")
        self.connection = opened.connection
        self.terms = terms_of(account, opened.settings)
        self.markets = {i.symbol: _market(i, parts.get(i.symbol)) for i in opened.instruments}
        self.lines: list[PaperReport] = []
        self.now: datetime = opened.clock or now
        self._holdings = opened.holdings
        self._cut_offs, self._closes = opened.cut_offs, opened.closes
        self._books = {s: self._left(s, market) for s, market in self.markets.items()}
        self._told: list[tuple[PaperOrder, dict[str, Any]]] = []
        self._worked: dict[int, PaperOrder] = {}
        self._at = self.now
        if opened.latest_at is not None:
            self._at = max(self.now, opened.latest_at + INSTANT)

    def receive(self, request: OrderRequest, *, refuse: bool = False) -> PaperOrder:
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
            stop_price=request.stop_price,
            post_only=request.post_only,
            reduce_only=request.reduce_only,
            expires_at=request.expires_at,
            received_at=self._at,
        )
        if self.terms.latency:
            order.active_at = self.now + self.terms.latency
        cut_off = self._cut_offs.get(request.symbol)
        expired = cut_off is not None and self.now >= cut_off
        tradable = None if market is None else market.instrument.is_tradable and not expired
        reason = refusal(request, is_tradable=tradable) or self._cannot_rest(order)
        if refuse:
            reason = "refused on request"
        if reason:
            self.end(order, VenueStatus.REJECTED, reason)
            return order
        order.expires_at = self._ends_at(request)
        self._tell(order, VenueStatus.ACCEPTED)
        self.work(order)
        return order

    def replace(self, order: PaperOrder, terms: OrderTerms, request: OrderRequest) -> str | None:
        """Give a working order new terms, and fill what the quote then allows.

        :returns: why the venue keeps it as it was, or None
        """
        if terms == _terms(order):
            return None
        if terms.quantity <= order.filled_quantity:
            return f"{order.filled_quantity} are filled already"
        if order.triggered and terms.stop_price != order.stop_price:
            return "its stop price has been touched"
        if reason := bad_prices(request):
            return reason
        keeps_place = terms.quantity <= order.quantity and terms.limit_price == order.limit_price
        was = _terms(order)
        order.quantity, order.limit_price = terms.quantity, terms.limit_price
        order.stop_price = terms.stop_price
        if reason := self._cannot_rest(order):
            order.quantity, order.limit_price = was.quantity, was.limit_price
            order.stop_price = was.stop_price
            return reason
        if not keeps_place:
            order.rested, order.queue_ahead, order.quote_number = False, None, 0
        self._tell(order, VenueStatus(order.status))
        self.work(order)
        return None

    def work(self, order: PaperOrder) -> None:
        """Do to an order what the quote does."""
        market = self.markets[order.symbol]
        if order.reduce_only and not self._reducible(order):
            self.end(order, VenueStatus.CANCELLED, "nothing is left to reduce")
            return
        most = self._most(order)
        outcome = meet(order, market, self._books[order.symbol], self.terms, most=most)
        if outcome is None:
            return
        order.quote_number, order.queue_ahead = market.number, outcome.queue_ahead
        order.rested = outcome.rests
        self._worked[id(order)] = order
        if outcome.triggered:
            order.triggered = True
            self._tell(order, VenueStatus(order.status))
        if outcome.execution is not None:
            self._execute(order, market, outcome.execution)
        if order.time_in_force in AT_ONCE and order.filled_quantity < order.quantity:
            self.end(order, VenueStatus.CANCELLED, f"{order.time_in_force}: not filled at once")

    def end(self, order: PaperOrder, status: VenueStatus, reason: str) -> None:
        """End an order without an execution."""
        order.reason = reason[:REASON_LENGTH]
        self._tell(order, status)

    def write(self) -> None:
        """Write the orders, then their lines, whose ids follow the order of dealing."""
        told = {id(order): order for order, _ in self._told}
        orders = list((self._worked | told).values())
        traded = {order.symbol for order, line in self._told if line.get("quantity") is not None}
        self.lines = [PaperReport(order=order, **line) for order, line in self._told]
        writing.write(orders, self.lines, [self._holdings[symbol] for symbol in sorted(traded)])

    def _execute(self, order: PaperOrder, market: Market, done: Execution) -> None:
        """Book an execution in the order, the holding and what is left of the quote."""
        instrument, side = market.instrument, Side(order.side)
        order.filled_quantity += done.quantity
        fee = commission(
            quantity=done.quantity,
            price=done.price,
            multiplier=instrument.multiplier,
            basis_points=self.terms.commission_basis_points,
        )
        held = self._holding(order.symbol, instrument.currency)
        held.quantity += side.sign * done.quantity
        taken_in = CONTEXT.multiply(-side.sign * done.quantity, done.price)
        held.cash = CONTEXT.fma(taken_in, instrument.multiplier, held.cash)
        held.fees += fee
        if held.quote_number != market.number:
            held.quote_number, held.bid_taken, held.ask_taken = market.number, ZERO, ZERO
        if side is Side.BUY:
            held.ask_taken += done.quantity
        else:
            held.bid_taken += done.quantity
        self._books[order.symbol] = self._books[order.symbol].without(side, done.quantity)
        full = order.filled_quantity == order.quantity
        self._tell(
            order,
            VenueStatus.FILLED if full else VenueStatus.PARTIALLY_FILLED,
            quantity=done.quantity,
            price=done.price,
            commission=fee,
            commission_currency=instrument.currency,
            liquidity=done.liquidity.value,
            flags=list(done.flags),
        )

    def _tell(self, order: PaperOrder, status: VenueStatus, **execution: Any) -> None:
        """Add a line: the order as it now stands, with an execution where there is one."""
        order.status, order.updated_at = status.value, self._at
        line = {
            "account": order.account,
            "status": order.status,
            "reason": order.reason,
            "filled_quantity": order.filled_quantity,
            "order_quantity": order.quantity,
            "limit_price": order.limit_price,
            "stop_price": order.stop_price,
            "at": self._at,
            **execution,
        }
        self._told.append((order, line))
        self._at += INSTANT

    def _left(self, symbol: str, market: Market) -> Book:
        """Return what the account has left of a quote."""
        held = self._holdings.get(symbol)
        if held is None or held.quote_number != market.number:
            return market.book
        book = market.book.without(Side.BUY, held.ask_taken)
        return book.without(Side.SELL, held.bid_taken)

    def _holding(self, symbol: str, currency: str) -> PaperHolding:
        """Return the holding of a symbol; the first trade makes it."""
        if symbol not in self._holdings:
            self._holdings[symbol] = PaperHolding(
                account=self.connection.name, symbol=symbol, currency=currency
            )
        return self._holdings[symbol]

    def _cannot_rest(self, order: PaperOrder) -> str | None:
        """Return why an order that may only rest, or only reduce, cannot, or None."""
        market = self.markets.get(order.symbol)
        if order.post_only and market is not None:
            book = self._books[order.symbol]
            if matching.takes(book, _working(order, order.quantity), model=self.terms.model):
                return "a post-only order would take at once"
        if order.reduce_only and self._reducible(order) < order.quantity - order.filled_quantity:
            return "a reduce-only order is larger than what it can reduce"
        return None

    def _reducible(self, order: PaperOrder) -> Decimal:
        """Return what an order's side could still close of the account's holding."""
        held = self._holdings.get(order.symbol)
        return ZERO if held is None else max(-held.quantity * Side(order.side).sign, ZERO)

    def _most(self, order: PaperOrder) -> Decimal:
        remaining: Decimal = order.quantity - order.filled_quantity
        return min(remaining, self._reducible(order)) if order.reduce_only else remaining

    def _ends_at(self, request: OrderRequest) -> datetime | None:
        """Return when an order ends if it is not filled; nothing works beyond its cut-off.

        DAY ends with the session of the exchange, or the account's trading day if that is earlier.
        """
        ends = [request.expires_at, self._cut_offs.get(request.symbol)]
        if request.time_in_force is TimeInForce.DAY:
            roll, zone = self.connection.day_roll_time, self.connection.day_roll_zone
            day = self.connection.trading_date(self.now)
            ends += [trading_days.day_end(day, roll=roll, zone=zone)]
            ends += [self._closes.get(request.symbol)]
        return min((end for end in ends if end is not None), default=None)


def waits(order: PaperOrder) -> bool:
    """Tell whether it is a stop that nothing has touched yet."""
    return OrderType(order.order_type) in matching.STOPS and not order.triggered


def _market(instrument: Instrument, part: BarPart | None = None) -> Market:
    quote = getattr(instrument, "quote", None)
    if quote is None:
        return Market(instrument, Book(), 0, None)
    book = book_of(quote)
    if part is not None:
        book = replace(book, bar=part)
    return Market(instrument, book, quote.number, quote.as_of)


def _terms(order: PaperOrder) -> OrderTerms:
    return OrderTerms(order.quantity, order.limit_price, order.stop_price)


def _working(order: PaperOrder, most: Decimal) -> Working:
    return Working(
        side=Side(order.side),
        quantity=most,
        order_type=OrderType(order.order_type),
        time_in_force=TimeInForce(order.time_in_force),
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        triggered=order.triggered,
        rested=order.rested,
        post_only=order.post_only,
        queue_ahead=order.queue_ahead,
        identity=order.received_at.isoformat(),
    )
