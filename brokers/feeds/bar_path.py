"""Quotes made from a bar: in which order its open, high, low and close are taken. Pure.

A bar has four prices and not their order. It becomes a quote each of its open, of the extreme
nearer to it, of the other extreme and of its close. From the close before it the price may have
jumped to the open; from there on it passed through whatever lies on the way. Hence, at the venue
(`brokers/paper/matching.py`):

an order that worked before the bar fills at
  STOP          the open where that is beyond its stop, else its stop where the bar reaches it;
                worsened by the slippage
  LIMIT         the open where that is beyond its limit, else its limit where the bar reaches it
  MARKET        the open, worsened by the slippage: what a quoted size left of it, as of a stop
                that has been touched
an order that comes during a replay comes at a bar's close, and meets that.

The order of the two extremes is a guess, so it decides nothing in our favour: all stops in reach of
a bar are touched before any limit but one that the open has filled. Stop and target in one bar is
the stop.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from brokers.contract import BarPart, QuoteUpdate

Path4 = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
Sizes = tuple[Decimal | None, Decimal | None]


def as_path(
    first: Decimal | None, high: Decimal | None, low: Decimal | None, last: Decimal | None
) -> Path4:
    """Return open, high, low and close; either all are there or none.

    :raises ValueError: they are not those of a bar
    """
    if first is None or high is None or low is None or last is None:
        if (first, high, low, last) != (None, None, None, None):
            raise ValueError("some of a bar's prices are missing")
        return first, high, low, last
    if not (low <= first <= high and low <= last <= high):
        raise ValueError(f"open {first} or close {last} is not within low {low} and high {high}")
    return first, high, low, last


def trade_bar(
    symbol: str, at: datetime, prices: Path4, volume: Decimal | None
) -> tuple[QuoteUpdate, ...]:
    """Return a bar of trades as quotes at `at`; its volume is spread over them.

    :raises ValueError: a price is missing
    """
    if not all(prices):
        raise ValueError("a trade bar needs all its prices")
    return tuple(
        QuoteUpdate(
            symbol=symbol,
            as_of=at,
            last=price,
            last_size=None if volume is None else volume / 4,
            bar=part,
        )
        for price, part in zip(
            _ordered(prices, _falls_first(prices)), _parts(prices, prices), strict=True
        )
    )


def quote_bar(
    symbol: str, at: datetime, bids: Path4, asks: Path4, sizes: Sizes
) -> tuple[QuoteUpdate, ...]:
    """Return a bar of quotes as quotes at `at`; its sizes, bid and ask, stand for each of them.

    :raises ValueError: a bid is above its ask
    """
    falls = _falls_first(asks) if bids[0] is None else _falls_first(bids)
    return tuple(
        book_quote(symbol, at, bid, ask, sizes=sizes, part=part)
        for bid, ask, part in zip(
            _ordered(bids, falls), _ordered(asks, falls), _parts(bids, asks), strict=True
        )
    )


def book_quote(
    symbol: str,
    at: datetime,
    bid: Decimal | None,
    ask: Decimal | None,
    *,
    sizes: Sizes = (None, None),
    part: BarPart | None = None,
) -> QuoteUpdate:
    """Return a quote of a book; a side without price is empty.

    :raises ValueError: the bid is above the ask
    """
    if bid and ask and bid > ask:
        raise ValueError(f"bid {bid} is above ask {ask}")
    return QuoteUpdate(
        symbol=symbol,
        as_of=at,
        bid=bid,
        ask=ask,
        bid_size=sizes[0],
        ask_size=sizes[1],
        has_book=True,
        bar=part,
    )


def _parts(sold_at: Path4, bought_at: Path4) -> Iterator[BarPart]:
    """Yield what the four quotes are of their bar, whose prices these are for a sale and a buy."""
    yield BarPart(opens=True)
    lowest = min((price for price in sold_at if price), default=None)
    yield BarPart(lowest=lowest, highest=max((p for p in bought_at if p), default=None))
    yield BarPart()
    yield BarPart()


def _falls_first(prices: Path4) -> bool:
    """Tell whether the low is nearer to the open than the high."""
    first, high, low, _ = prices
    return first is not None and high is not None and low is not None and first - low < high - first


def _ordered(prices: Path4, falls: bool) -> Path4:
    first, high, low, last = prices
    return (first, low, high, last) if falls else (first, high, low, last)
