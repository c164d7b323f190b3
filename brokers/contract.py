"""The language we share with every venue: orders, reports, and what can go wrong.

BrokerError             what an adapter may raise              what the caller does next
  BrokerUnavailable     nothing reached the venue              retry, with backoff
    GrantExpired        the grant ran out before the send      as above
  OutcomeUnknown        the request may have reached it        never resend: ask find_order
  OrderRejected         the venue refused the order            final: keep the venue's own text
  CredentialsRefused    the venue refused us                   it is disabled: a person acts
  DryRun                the account only shows what it sends   keep the request; nothing was sent
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol


class Side(StrEnum):
    """FIX 54."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return +1 for a buy and -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """FIX 40."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    """FIX 59."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class VenueStatus(StrEnum):
    """What a venue can say of an order. The names are the engine's own statuses."""

    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Liquidity(StrEnum):
    """FIX 851: whether our order rested (MAKER) or took (TAKER)."""

    MAKER = "MAKER"
    TAKER = "TAKER"
    UNKNOWN = "UNKNOWN"


class FillKind(StrEnum):
    """FIX 150: a trade (F), its cancellation by the venue (H), or its correction (G)."""

    NEW = "NEW"
    BUST = "BUST"
    CORRECTION = "CORRECTION"


class BrokerError(Exception):
    """Anything an adapter may raise."""


class BrokerUnavailable(BrokerError):
    """Nothing reached the venue; sending again is safe."""


class GrantExpired(BrokerUnavailable):
    """The grant ran out, or was spent, before the request left."""


class OutcomeUnknown(BrokerError):
    """The request may have reached the venue; it is never sent again."""


class OrderRejected(BrokerError):
    """The venue refused the order, in its own words."""


class CredentialsRefused(BrokerError):
    """The venue refused our credentials."""


class DryRun(BrokerError):
    """The account is dry: `request`, as JSON, would have been sent, and nothing was."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__("dry run: nothing was sent")
        self.request = request


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as it goes to a venue. `quantity` is positive, in units of the instrument."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    expires_at: datetime | None = None
    post_only: bool = False
    reduce_only: bool = False


@dataclass(slots=True, kw_only=True)
class Grant:
    """Leave to send one order, or its replacement, once; minted by `orders.sending.grants` alone.

    `request` holds the order's whole terms: of a replacement those that it shall have.

    `deadline` is on the monotonic clock, in seconds: a worker that was paused and wakes after it
    sends nothing.
    """

    attempt_id: int
    order_id: int
    account: str
    attempt: int
    epoch: int
    deadline: float
    request: OrderRequest
    spent: bool = False

    def spend(self, *, monotonic: float) -> OrderRequest:
        """Return the request, once and in time: the last thing an adapter does before it sends.

        :raises GrantExpired: the deadline has passed, or the grant was spent before
        """
        if self.spent or monotonic >= self.deadline:
            raise GrantExpired(f"grant of attempt {self.attempt_id} is no longer good")
        self.spent = True
        return self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class FillReport:
    """One execution, in the venue's words. `quantity` and `price` are positive.

    `commission` is positive when it cost us, in `commission_currency`. `flags` says what a reader
    of the fill should know (`unknown_size`: the venue quoted no size to fill against).

    `sequence` is its place in the venue's own order of trades; it decides between trades of one
    time. Where a venue has none, ids that are numbers count as numbers, else they are text.

    A BUST or CORRECTION names the trade it amends; of several the highest `revision` (from 1)
    counts, in whatever order they come, also before their trade. A correction's quantity, price
    and commission replace the trade's.
    """

    client_order_id: str
    venue_order_id: str
    venue_trade_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_currency: str
    liquidity: Liquidity
    traded_at: datetime
    flags: tuple[str, ...] = ()
    kind: FillKind = FillKind.NEW
    revision: int = 0
    sequence: int | None = None

    @property
    def place(self) -> int:
        """Return what orders it among trades of one time; of equal ones the id as text decides."""
        if self.sequence is not None:
            return self.sequence
        trade = self.venue_trade_id
        return int(trade) if trade.isascii() and trade.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What of a working order can be replaced. `quantity` is the whole, filled part included."""

    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the venue says of one order, with the executions it reports with it.

    `terms` are those the order has at the venue, where it says so: a replacement shows in them.
    """

    client_order_id: str
    venue_order_id: str
    status: VenueStatus
    filled_quantity: Decimal
    reported_at: datetime
    reason: str = ""
    fills: tuple[FillReport, ...] = ()
    terms: OrderTerms | None = None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """Reports after a cursor, oldest first, and the cursor to go on from."""

    reports: Sequence[OrderReport] = field(default_factory=tuple)
    cursor: str = ""


#: The smallest and the largest number that a column of money holds.
LEAST, MOST = Decimal("1E-10"), Decimal("999999999999999999.9999999999")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPart:
    """What a quote is of the bar that it was made from (`brokers/feeds/bar_path.py`).

    `opens`: the bar's first, to which the price may have jumped. The one after it tells what the
    whole bar reaches: `lowest` is the lowest price for a sale, `highest` the highest for a buy.
    """

    opens: bool = False
    lowest: Decimal | None = None
    highest: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteUpdate:
    """One quote as a feed reports it, and the one door by which prices come in.

    A bid, ask, last price or quoted size that is zero, negative, no number or none that can be
    stored means that nobody is there: the price is None, and of a side its size too. A size that
    is absent is unknown, and its price stands. Where the bid is above the ask it cannot be told
    which is wrong, and both sides are empty. `has_book`: the feed quotes a book, be it empty; a
    feed of trades has none. `last_size` is 0 where nothing was traded with this quote. `bar` says
    that the quote was made from a bar, and what it is of it.
    """

    symbol: str
    as_of: datetime
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None
    has_book: bool = False
    bar: BarPart | None = None

    @property
    def of_bar(self) -> bool:
        """Tell whether it was made from a bar."""
        return self.bar is not None

    def __post_init__(self) -> None:
        told = (self.bid, self.ask, self.bid_size, self.ask_size)
        bid, bid_size = _side(self.bid, self.bid_size)
        ask, ask_size = _side(self.ask, self.ask_size)
        if bid is not None and ask is not None and bid > ask:
            bid = bid_size = ask = ask_size = None
        last = self.last if _is_somebody_s(self.last) else None
        last_size = self.last_size
        if last is None:
            last_size = None
        elif last_size is not None and not _is_somebody_s(last_size):
            last_size = Decimal(0)
        kept = {
            "bid": bid,
            "ask": ask,
            "bid_size": bid_size,
            "ask_size": ask_size,
            "last": last,
            "last_size": last_size,
            "has_book": self.has_book or any(value is not None for value in told),
        }
        for name, value in kept.items():
            object.__setattr__(self, name, value)


def _is_somebody_s(value: Decimal | None) -> bool:
    """Tell whether somebody can mean this price or size."""
    return value is not None and not value.is_nan() and LEAST <= value <= MOST


def _side(price: Decimal | None, size: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """Return price and size of one side of a book: both None where nobody is there."""
    if not _is_somebody_s(price) or not (size is None or _is_somebody_s(size)):
        return None, None
    return price, size


class BrokerAdapter(Protocol):
    """What the engine asks of a venue. Calls block, and end within `timeout_seconds`.

    A client order id is letters and digits, no longer than every venue takes
    (orders/judging/identity.py).
    Every method may raise BrokerUnavailable, OutcomeUnknown or CredentialsRefused.
    """

    timeout_seconds: float

    def submit(self, grant: Grant) -> OrderReport:
        """Place the order the grant allows, after spending it.

        :raises OrderRejected: the venue refused the order
        """

    def replace(self, grant: Grant) -> OrderReport:
        """Give a working order the grant's terms, after spending it. Asking twice is harmless.

        :raises OrderRejected: the venue keeps the order as it was, or it works no more
        """

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Ask for a cancel and return the order as it then stands, or None if never arrived."""

    def find_order(self, client_order_id: str) -> OrderReport | None:
        """Return the venue's view of an order with all its fills, or None if it never arrived."""

    def reports_since(self, cursor: str) -> ReportPage:
        """Return what happened to our orders after `cursor` ("" is the beginning)."""
