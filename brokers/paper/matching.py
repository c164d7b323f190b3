"""How the paper venue fills an order against a quote. Pure; prices and sizes are positive.

MARKET takes the other side of the book, worsened by the slippage and put on the tick against us;
where there is no book at all it takes the last price. LIMIT takes a quote that is at its limit or
better, at the quote's price; an order that rested fills at its own limit, as a maker does. A limit
order never fills worse than its limit. An empty side does not fill; an unknown size is unlimited,
and flagged.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from brokers.contract import Liquidity, OrderType, Side

BASIS_POINT = Decimal("0.0001")
MONEY_PLACES = Decimal("1E-10")


@dataclass(frozen=True, slots=True)
class Book:
    """A quote as the venue sees it. A missing side is empty, a missing size unknown."""

    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    last: Decimal | None

    def opposite(self, side: Side) -> tuple[Decimal | None, Decimal | None]:
        """Return price and size of the side an order of `side` would take."""
        return (self.ask, self.ask_size) if side is Side.BUY else (self.bid, self.bid_size)

    @property
    def exists(self) -> bool:
        """Tell whether anybody quotes at all."""
        return self.bid is not None or self.ask is not None


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
    flags: list[str] = []
    if not book.exists:
        price, size = book.last, None
        flags.append("no_book")
    if price is None or size == 0:
        return None
    if size is None:
        flags.append("unknown_size")
    filled = quantity if size is None else min(quantity, size)
    if order_type is OrderType.MARKET:
        paid = _slipped(price, side, slippage_basis_points, tick_size)
        return Execution(filled, paid, Liquidity.TAKER, tuple(flags))
    if limit_price is None or not _reaches(price, limit_price, side):
        return None
    if rested:
        return Execution(filled, limit_price, Liquidity.MAKER, tuple(flags))
    return Execution(filled, price, Liquidity.TAKER, tuple(flags))


def commission(*, quantity: Decimal, price: Decimal, multiplier: Decimal, rate: Decimal) -> Decimal:
    """Return the commission of a fill: `rate` basis points of its notional, to 10 places."""
    notional = quantity * price * multiplier
    return (notional * rate * BASIS_POINT).quantize(MONEY_PLACES, rounding=ROUND_HALF_EVEN)


def _reaches(price: Decimal, limit: Decimal, side: Side) -> bool:
    return price <= limit if side is Side.BUY else price >= limit


def _slipped(price: Decimal, side: Side, basis_points: Decimal, tick: Decimal) -> Decimal:
    """Return the price worsened by the slippage, on the tick away from us."""
    worse = price * (1 + side.sign * basis_points * BASIS_POINT)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    on_tick = (worse / tick).to_integral_value(rounding) * tick
    return max(on_tick, tick)
