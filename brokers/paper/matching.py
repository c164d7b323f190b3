"""How the paper venue fills an order against a quote. Pure; prices and sizes are positive.

MARKET takes the other side of the book, worsened by the slippage and put on the tick against us.
LIMIT takes a quote at its limit or better at the quote's price, as TAKER and without slippage; what
is left rests. A resting order that a later quote touches fills at its own limit as MAKER, also when
the quote has gone beyond it: at an exchange whoever comes to it trades at the resting price. So a
limit order never fills worse than its limit.

An empty side of a book does not fill. Where nobody quotes at all (a feed of trades) orders fill at
the last price, flagged `no_book`. A quoted size is what there is; an unknown one is unlimited, and
flagged `unknown_size`.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext

from brokers.contract import Liquidity, OrderType, Side

BASIS_POINT = Decimal("0.0001")
MONEY_PLACES = Decimal("1E-10")
#: Wide enough for the product of three stored numbers, so that only the last step rounds.
CONTEXT = Context(prec=90, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Book:
    """A quote as the venue sees it. A missing side is empty, a missing size unknown."""

    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None

    @property
    def exists(self) -> bool:
        """Tell whether anybody quotes at all."""
        return self.bid is not None or self.ask is not None

    def opposite(self, side: Side) -> tuple[Decimal | None, Decimal | None]:
        """Return price and size of the side an order of `side` would take."""
        return (self.ask, self.ask_size) if side is Side.BUY else (self.bid, self.bid_size)

    def without(self, side: Side, quantity: Decimal) -> "Book":
        """Return what an order of `side` leaves of the book; an unknown size stays unknown."""
        _, size = self.opposite(side)
        if size is None:
            return self
        if side is Side.BUY:
            return replace(self, ask_size=size - quantity)
        return replace(self, bid_size=size - quantity)


@dataclass(frozen=True, slots=True)
class Execution:
    """What is filled now."""

    quantity: Decimal
    price: Decimal
    liquidity: Liquidity
    flags: tuple[str, ...]


def match_order(
    book: Book,
    *,
    side: Side,
    quantity: Decimal,
    order_type: OrderType,
    limit_price: Decimal | None,
    rested: bool,
    slippage_basis_points: Decimal,
    tick_size: Decimal,
) -> Execution | None:
    """Return what of `quantity` fills against this quote, or None.

    `rested` says that the order was in the book before this quote came.
    """
    price, size = book.opposite(side)
    flags: tuple[str, ...] = ()
    if not book.exists:
        price, size, flags = book.last, None, ("no_book",)
    if price is None or size == 0:
        return None
    if size is None:
        flags = (*flags, "unknown_size")
    filled = quantity if size is None else min(quantity, size)
    if order_type is OrderType.MARKET:
        paid = _slipped(price, side, slippage_basis_points, tick_size)
        return Execution(filled, paid, Liquidity.TAKER, flags)
    if limit_price is None or not _reaches(price, limit_price, side):
        return None
    if rested:
        return Execution(filled, limit_price, Liquidity.MAKER, flags)
    return Execution(filled, price, Liquidity.TAKER, flags)


def commission(
    *, quantity: Decimal, price: Decimal, multiplier: Decimal, basis_points: Decimal
) -> Decimal:
    """Return the commission of a fill, in basis points of its notional, to 10 places half-even."""
    with localcontext(CONTEXT):
        return (quantity * price * multiplier * basis_points * BASIS_POINT).quantize(MONEY_PLACES)


def _reaches(price: Decimal, limit: Decimal, side: Side) -> bool:
    return price <= limit if side is Side.BUY else price >= limit


def _slipped(price: Decimal, side: Side, basis_points: Decimal, tick: Decimal) -> Decimal:
    """Return the price worsened by the slippage, on the tick away from us, and never below one."""
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    with localcontext(CONTEXT):
        worse = price * (1 + side.sign * basis_points * BASIS_POINT)
        return max((worse / tick).to_integral_value(rounding) * tick, tick)
