"""How the paper venue fills an order against one quote. Pure; prices and sizes are positive.

MARKET takes the other side of the book, worsened by the slippage and put on the tick against us.
LIMIT takes a quote at its limit or better at the quote's price, as TAKER and without slippage; what
is left rests. A resting order that a later quote touches fills at its own limit as MAKER, also when
the quote has gone beyond it: at an exchange whoever comes to it trades at the resting price. So a
limit order never fills worse than its limit.

STOP and STOP_LIMIT are triggered by the ask for a buy and by the bid for a sell (by the last trade
where nobody quotes), and fill from the next quote on, as MARKET or LIMIT. A quote that was made
from a bar stands for a stretch of time: what it triggers fills with it, at the stop where the bar
passed through it, else at the quote, and so never better than the stop. A LIMIT that rests where a
bar opens beyond it fills at the open. `brokers/feeds/bar_path.py` says which way a bar goes.

An empty side of a book does not fill. Where nobody quotes at all (a feed of trades) orders fill at
the last price, flagged `no_book`. A quoted size is what there is, in whole lots; an unknown one is
unlimited, and flagged `unknown_size`. What differs by account is its `FillModel`.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from enum import StrEnum
from hashlib import blake2b

from brokers.contract import BarPart, Liquidity, OrderType, Side, TimeInForce

ZERO = Decimal(0)
BASIS_POINT = Decimal("0.0001")
MONEY_PLACES = Decimal("1E-10")
#: Wide enough for the product of three stored numbers, so that only the last step rounds.
CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)
STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
LIMITS = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


class PriceSource(StrEnum):
    """What price an order meets: the other side of the book, the mid, or the last trade."""

    BOOK = "book"
    MID = "mid"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillModel:
    """How an account's orders fill.

    `participation` is the share of a quoted (or traded) size that one quote gives us at most;
    `queue` lets a resting order wait behind the size shown at its price until trades have used it
    up; `fill_probability` is the chance that a touch of exactly its limit fills a resting order,
    `slip_probability` that a MARKET order pays one tick more. Chances are drawn from `seed`.
    """

    price: PriceSource = PriceSource.BOOK
    slippage_basis_points: Decimal = ZERO
    slippage_ticks: Decimal = ZERO
    participation: Decimal | None = None
    queue: bool = False
    fill_probability: Decimal = Decimal(1)
    slip_probability: Decimal = ZERO
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Book:
    """A quote as the venue sees it. A missing side is empty, a missing size unknown.

    `has_book` tells an empty book from none; `last_size` is what was traded at `last` with this
    quote, if anything was. `bar` is what the quote is of the bar that it was made from.
    """

    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None
    has_book: bool = False
    bar: BarPart | None = None

    @property
    def exists(self) -> bool:
        """Tell whether there is a book, be it empty."""
        return self.has_book or self.bid is not None or self.ask is not None

    def opposite(self, side: Side) -> tuple[Decimal | None, Decimal | None]:
        """Return price and size of the side an order of `side` would take."""
        return (self.ask, self.ask_size) if side is Side.BUY else (self.bid, self.bid_size)

    def price_for(self, side: Side) -> Decimal | None:
        """Return the price an order of `side` would take: without a book the last."""
        return self.opposite(side)[0] if self.exists else self.last

    def reach_for(self, side: Side) -> Decimal | None:
        """Return the price furthest against an order of `side` that the quote's bar goes to."""
        if self.bar is None:
            return None
        return self.bar.highest if side is Side.BUY else self.bar.lowest

    def without(self, side: Side, quantity: Decimal) -> "Book":
        """Return what an order of `side` leaves of the book; an unknown size stays unknown."""
        _, size = self.opposite(side)
        if size is None:
            return self
        left = max(size - quantity, ZERO)
        return replace(self, ask_size=left) if side is Side.BUY else replace(self, bid_size=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What matching must know of an order. `quantity` is what is still to be filled.

    `rested` says that it was in the book before this quote came, `queue_ahead` what stands before
    it there (None before its price was first quoted), `identity` tells its draws from others'.
    """

    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    triggered: bool = False
    rested: bool = False
    post_only: bool = False
    queue_ahead: Decimal | None = None
    identity: str = ""

    @property
    def waits_for_trigger(self) -> bool:
        """Tell whether it is a stop that nothing has touched yet."""
        return self.order_type in STOPS and not self.triggered


@dataclass(frozen=True, slots=True)
class Execution:
    """What is filled now."""

    quantity: Decimal
    price: Decimal
    liquidity: Liquidity
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one quote does to one order; `rests`: what is left of it is in the book from now on."""

    execution: Execution | None = None
    triggered: bool = False
    queue_ahead: Decimal | None = None
    rests: bool = True


def match_order(
    book: Book,
    order: Working,
    *,
    model: FillModel,
    tick_size: Decimal,
    lot_size: Decimal,
    quote: str = "",
) -> Outcome:
    """Return what a quote does to an order; `quote` names it, for the order's draws."""
    if order.waits_for_trigger:
        triggered = triggers(book, order)
        if not triggered or book.bar is None:
            return Outcome(triggered=triggered, queue_ahead=order.queue_ahead, rests=False)
        outcome = match_order(
            _as_touched(book, order),
            replace(order, triggered=True),
            model=model,
            tick_size=tick_size,
            lot_size=lot_size,
            quote=quote,
        )
        return replace(outcome, triggered=True)
    met = _met(book, order.side, model)
    if met is None:
        return Outcome(queue_ahead=order.queue_ahead)
    price, size, flags = met
    limit = order.limit_price if order.order_type in LIMITS else None
    if limit is not None and not _reaches(price, limit, order.side):
        return _queued(book, order, model, lot_size)
    filled = _whole_lots(order.quantity, size, model.participation, lot_size)
    if filled <= 0 or (order.time_in_force is TimeInForce.FOK and filled < order.quantity):
        return Outcome(queue_ahead=order.queue_ahead)
    if limit is None:
        slips = draw(model.seed, "slip", order.identity, quote) < model.slip_probability
        ticks = model.slippage_ticks + (1 if slips else 0)
        paid = _slipped(price, order.side, model.slippage_basis_points, ticks, tick_size)
        return Outcome(Execution(filled, paid, Liquidity.TAKER, flags))
    if not (order.rested or order.post_only):
        taken = _on_tick(price, order.side, tick_size)
        return Outcome(Execution(filled, taken, Liquidity.TAKER, flags))
    if price == limit and draw(model.seed, "fill", order.identity, quote) >= model.fill_probability:
        return Outcome(queue_ahead=order.queue_ahead)
    opens = book.bar is not None and book.bar.opens
    paid = _on_tick(price, order.side, tick_size) if opens else limit
    return Outcome(Execution(filled, paid, Liquidity.MAKER, flags))


def triggers(book: Book, order: Working) -> bool:
    """Tell whether a quote, or its bar, touches an order's stop price or goes beyond it."""
    price = book.reach_for(order.side) or book.price_for(order.side)
    if price is None or order.stop_price is None:
        return False
    return price >= order.stop_price if order.side is Side.BUY else price <= order.stop_price


def takes(book: Book, order: Working, *, model: FillModel) -> bool:
    """Tell whether an order would fill as TAKER now, which a post-only order must not."""
    met = _met(book, order.side, model)
    return met is not None and (
        order.limit_price is None or _reaches(met[0], order.limit_price, order.side)
    )


def draw(seed: int, *parts: str) -> Decimal:
    """Return a number from 0 to below 1 that depends on seed and parts alone."""
    digest = blake2b("\x1f".join((str(seed), *parts)).encode(), digest_size=6).digest()
    return Decimal(int.from_bytes(digest)) / Decimal(1 << 48)


def commission(
    *, quantity: Decimal, price: Decimal, multiplier: Decimal, basis_points: Decimal
) -> Decimal:
    """Return the commission of a fill, in basis points of its notional, to 10 places half-even."""
    with localcontext(CONTEXT):
        return (quantity * price * multiplier * basis_points * BASIS_POINT).quantize(MONEY_PLACES)


def _as_touched(book: Book, order: Working) -> Book:
    """Return the book when a bar touches a stop: all at the stop inside the bar, else as quoted.

    Bid, ask and last are one price then, so that no fill model makes it better than the stop.
    """
    price = book.price_for(order.side)
    if price is None:  # the bar went there, and nobody is left
        return book
    if book.reach_for(order.side) is not None:
        price = order.stop_price
    side = price if book.exists else None
    return replace(book, bid=side, ask=side, last=price)


def _met(
    book: Book, side: Side, model: FillModel
) -> tuple[Decimal, Decimal | None, tuple[str, ...]] | None:
    """Return the price an order meets, the size there, and flags; None: nothing to fill against."""
    price, size = book.opposite(side)
    flags: tuple[str, ...] = ()
    if not book.exists:
        price, flags = book.last, ("no_book",)
        size = None if model.participation is None else book.last_size
    if price is None or size == 0:
        return None
    if model.price is PriceSource.MID and book.bid is not None and book.ask is not None:
        price = (book.bid + book.ask) / 2
    elif model.price is PriceSource.LAST and book.last is not None:
        price = book.last
    return price, size, flags if size is not None else (*flags, "unknown_size")


def _queued(book: Book, order: Working, model: FillModel, lot_size: Decimal) -> Outcome:
    """Return what trades at its price do to a resting order that the book has not reached."""
    limit, ahead = order.limit_price, order.queue_ahead
    if not model.queue or limit is None or not book.exists:
        return Outcome(queue_ahead=ahead)
    best, shown = book.opposite(order.side.opposite)  # the side of the book that we stand on
    if best == limit:
        ahead = shown or ZERO if ahead is None else min(ahead, shown or ZERO)
    elif best is None or not _reaches(limit, best, order.side):  # we are the best ourselves
        ahead = ZERO
    if ahead is None or not book.last_size or book.last is None:
        return Outcome(queue_ahead=ahead)
    if not _reaches(book.last, limit, order.side):
        return Outcome(queue_ahead=ahead)
    past = max(book.last_size - ahead, ZERO)
    filled = _whole_lots(order.quantity, past, model.participation, lot_size)
    left = max(ahead - book.last_size, ZERO)
    if filled <= 0:
        return Outcome(queue_ahead=left)
    return Outcome(Execution(filled, limit, Liquidity.MAKER), queue_ahead=left)


def _whole_lots(
    wanted: Decimal, size: Decimal | None, participation: Decimal | None, lot: Decimal
) -> Decimal:
    """Return what of `wanted` a size gives, in whole lots unless it gives all."""
    if size is None:
        return wanted
    given = size if participation is None else size * participation
    return wanted if given >= wanted else given // lot * lot


def _reaches(price: Decimal, limit: Decimal, side: Side) -> bool:
    return price <= limit if side is Side.BUY else price >= limit


def _on_tick(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    """Return a price on the tick, against us where it lies between two (a mid).

    Below one tick it stays as it is: a sale brings no more than was bid, and always something.
    """
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    if price % tick == 0:
        return price
    return max((price / tick).to_integral_value(rounding) * tick, min(price, tick))


def _slipped(
    price: Decimal, side: Side, basis_points: Decimal, ticks: Decimal, tick: Decimal
) -> Decimal:
    """Return the price worsened by the slippage, on the tick away from us.

    A sale brings at least a tick, or what was bid where that is less.
    """
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    with localcontext(CONTEXT):
        worse = price * (1 + side.sign * basis_points * BASIS_POINT) + side.sign * ticks * tick
        return max((worse / tick).to_integral_value(rounding) * tick, min(price, tick))
