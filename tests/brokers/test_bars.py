"""Orders against bars: at prices that somebody could have got, and never in our favour.

`BUY` cases are stated; each is also run as its mirror image, a sale in the bar turned upside down.
"""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import quotes
from brokers.contract import BarPart, OrderType, Side, VenueStatus
from brokers.feeds.bar_path import as_path, quote_bar, trade_bar
from brokers.models import PaperOrder
from brokers.paper.desk import book_of
from brokers.paper.matching import BASIS_POINT, FillModel, PriceSource, Working, match_order
from brokers.paper.venue import match_account

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, STOP, STOP_LIMIT = OrderType
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
TICK = Decimal("0.01")
TOP = 200  # what a mirror image is taken from


def trades(first, high, low, last):
    path = as_path(*(Decimal(str(price)) for price in (first, high, low, last)))
    return trade_bar("AAPL", AT, path, None)


def book(first, high, low, last, *, spread=1, sizes=(None, None)):
    bids = as_path(*(Decimal(str(price)) for price in (first, high, low, last)))
    asks = as_path(*(price + spread for price in bids))
    return quote_bar("AAPL", AT, bids, asks, sizes)


def order_of(side, kind, *, stop=None, limit=None, quantity=10):
    return Working(
        side=side,
        quantity=Decimal(quantity),
        order_type=kind,
        stop_price=None if stop is None else Decimal(str(stop)),
        limit_price=None if limit is None else Decimal(str(limit)),
    )


def play(order, updates, *, present=True, **model):
    """Hold an order against quotes as the desk does; return its executions, each with its quote.

    `present`: it worked before the first of them, else it comes when that is quoted.
    """
    order = replace(order, rested=present and not order.waits_for_trigger)
    done = []
    for number, update in enumerate(updates):
        on = book_of(update)
        if not present:
            on, present = replace(on, bar=BarPart()), True
        outcome = match_order(on, order, model=FillModel(**model), tick_size=TICK, lot_size=TICK)
        left = order.quantity
        if outcome.execution is not None:
            done.append((outcome.execution, number))
            left -= outcome.execution.quantity
        if not left:
            break
        order = replace(
            order,
            quantity=left,
            triggered=order.triggered or outcome.triggered,
            rested=outcome.rests,
            queue_ahead=outcome.queue_ahead,
        )
    return done


def mirrored(bar):
    first, high, low, last = bar
    return TOP - first, TOP - low, TOP - high, TOP - last


NEAR_LOW, NEAR_HIGH = (100, 112, 98, 101), (100, 112, 85, 101)
CASES = [
    ("a stop not reached", STOP, {"stop": 110}, (100, 109, 95, 105), None),
    ("inside", STOP, {"stop": 110}, NEAR_LOW, 110),
    ("inside, whichever extreme is nearer", STOP, {"stop": 110}, NEAR_HIGH, 110),
    ("touched exactly", STOP, {"stop": 110}, (100, 110, 98, 99), 110),
    ("by a bar of one price", STOP, {"stop": 110}, (110, 110, 110, 110), 110),
    ("opened at", STOP, {"stop": 110}, (110, 112, 98, 99), 110),
    ("jumped over: at the open", STOP, {"stop": 110}, (115, 116, 114, 114), 115),
    ("also where it comes back", STOP, {"stop": 110}, (115, 116, 90, 95), 115),
    ("a limit not reached", LIMIT, {"limit": 90}, (100, 109, 91, 105), None),
    ("inside", LIMIT, {"limit": 90}, (100, 109, 88, 105), 90),
    ("touched exactly", LIMIT, {"limit": 90}, (100, 109, 90, 105), 90),
    ("opened at", LIMIT, {"limit": 90}, (90, 109, 88, 105), 90),
    ("opened beyond: at the open", LIMIT, {"limit": 90}, (85, 95, 80, 94), 85),
    ("a stop limit inside", STOP_LIMIT, {"stop": 110, "limit": 112}, NEAR_LOW, 110),
    ("inside, the high first", STOP_LIMIT, {"stop": 110, "limit": 112}, NEAR_HIGH, 110),
    ("jumped over within", STOP_LIMIT, {"stop": 110, "limit": 112}, (111, 115, 98, 99), 111),
    ("and beyond", STOP_LIMIT, {"stop": 110, "limit": 112}, (115, 116, 114, 115), None),
    ("beyond and back", STOP_LIMIT, {"stop": 110, "limit": 112}, (115, 116, 90, 95), 112),
    ("not reached", STOP_LIMIT, {"stop": 120, "limit": 125}, NEAR_LOW, None),
    ("a limit below it", STOP_LIMIT, {"stop": 110, "limit": 105}, (100, 112, 98, 109), None),
    ("and the close there", STOP_LIMIT, {"stop": 110, "limit": 105}, (100, 112, 98, 104), 105),
    ("what is left of a market order", MARKET, {}, (100, 112, 98, 101), 100),
]


@pytest.mark.parametrize(("_case", "kind", "prices", "bar", "expected"), CASES)
def test_an_order_that_works_meets_a_bar(_case, kind, prices, bar, expected):
    turned = {name: TOP - price for name, price in prices.items()}

    bought = play(order_of(BUY, kind, **prices), trades(*bar))
    sold = play(order_of(SELL, kind, **turned), trades(*mirrored(bar)))

    assert [done.price for done, _ in bought] == ([] if expected is None else [expected])
    assert [done.price for done, _ in sold] == ([] if expected is None else [TOP - expected])


@pytest.mark.parametrize(
    ("_case", "side", "stop", "bar", "expected"),
    [
        ("a buy inside", BUY, 10, (8, 12, "7.9", 8), "10.01"),
        ("a sale inside", SELL, 100, (105, 106, 90, 105), "99.95"),
        ("a sale jumped over", SELL, 100, (90, 91, 89, 91), "89.95"),
        ("a buy jumped over", BUY, 100, (110, 111, 95, 96), "110.06"),
    ],
)
def test_a_stop_pays_the_slippage_on_top(_case, side, stop, bar, expected):
    ((done, _),) = play(
        order_of(side, STOP, stop=stop), trades(*bar), slippage_basis_points=Decimal(5)
    )

    assert done.price == Decimal(expected)


@pytest.mark.parametrize(
    ("_case", "side", "stop", "bar", "expected"),
    [
        ("a buy by the ask", BUY, 110, (100, 109, 98, 99), 110),
        ("not before it is there", BUY, 111, (100, 109, 98, 99), None),
        ("a sale by the bid", SELL, 98, (100, 109, 98, 99), 98),
        ("not by the ask", SELL, 97, (100, 109, 98, 99), None),
        ("jumped over: at the bid", SELL, 98, (90, 91, 89, 90), 90),
    ],
)
@pytest.mark.parametrize("price", PriceSource)
def test_in_a_bar_of_quotes_a_stop_meets_its_side_of_the_book(
    _case, side, stop, bar, expected, price
):
    done = play(order_of(side, STOP, stop=stop), book(*bar), price=price)

    assert [one.price for one, _ in done] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("_case", "stop", "expected"),
    [
        ("touched already: at the close", 95, [101]),
        ("what the bar did before it came is past", 110, []),
    ],
)
def test_a_stop_that_comes_at_a_close_meets_the_close(_case, stop, expected):
    done = play(order_of(BUY, STOP, stop=stop), trades(*NEAR_LOW)[-1:], present=False)

    assert [one.price for one, _ in done] == expected


def test_a_bar_that_goes_where_nobody_bids_fills_nothing_there():
    bids = tuple(map(Decimal, (5, 6, 0, 5)))
    updates = quote_bar("AAPL", AT, bids, tuple(bid + 1 for bid in bids), (None, None))

    assert play(order_of(SELL, STOP, stop=4), updates) == []


ticks = st.integers(500, 1500)
shapes = st.tuples(ticks, ticks, ticks, ticks, st.booleans())
slippages = st.sampled_from((Decimal(0), Decimal(5), Decimal(200)))


def made(make, shape):
    """Return a bar of four prices, of which the second or third opens it."""
    low, one, other, high = (price * TICK * 10 for price in sorted(shape[:4]))
    first, last = (one, other) if shape[4] else (other, one)
    return make(first, high, low, last)


@given(
    make=st.sampled_from((trades, book)),
    seen=st.lists(shapes, min_size=1, max_size=3),
    side=st.sampled_from(Side),
    kind=st.sampled_from(OrderType),
    stop=ticks,
    limit=ticks,
    present=st.booleans(),
    slippage=slippages,
    price=st.sampled_from(PriceSource),
)
def test_every_fill_is_at_a_price_of_its_bar_and_not_in_our_favour(
    make, seen, side, kind, stop, limit, present, slippage, price
):
    order = order_of(
        side,
        kind,
        stop=stop * TICK * 10 if kind in {STOP, STOP_LIMIT} else None,
        limit=limit * TICK * 10 if kind in {LIMIT, STOP_LIMIT} else None,
    )
    bars = [made(make, shape) for shape in seen]
    shown = [update for bar in bars for update in bar]

    done = play(
        order,
        shown if present else shown[3:],
        present=present,
        price=price,
        slippage_basis_points=slippage,
    )

    for fill, number in done:
        bar = bars[(number if present else number + 3) // 4]
        low = min(u.bid if u.bid is not None else u.last for u in bar)
        high = max(u.ask if u.ask is not None else u.last for u in bar)
        slipped = slippage * BASIS_POINT
        assert low * (1 - slipped) - TICK < fill.price < high * (1 + slipped) + TICK
        if kind is STOP:
            assert (fill.price - order.stop_price) * side.sign >= 0
        if order.limit_price is not None:
            assert (fill.price - order.limit_price) * side.sign <= 0
    assert len(done) <= 1


@pytest.mark.parametrize(
    ("_case", "bar", "stopped"),
    [
        ("the stop is nearer", (100, 112, 94, 100), True),
        ("the target is nearer", (104, 112, 94, 100), True),
        ("both touched exactly", (104, 110, 95, 100), True),
        ("the stop alone", (100, 109, 94, 100), True),
        ("the target alone", (100, 112, 96, 100), False),
        ("the open has filled the target", (111, 112, 94, 100), False),
        ("the open is beyond the stop", (93, 112, 92, 100), True),
    ],
)
def test_of_stop_and_target_in_one_bar_the_stop_is_first(venue, send, _case, bar, stopped):
    out = {"reduce_only": True, "quantity": 10}
    send(BUY, 10)
    send(SELL, limit=110, client_order_id="target", **out)
    send(SELL, order_type=STOP, stop_price=Decimal(95), client_order_id="stop", **out)

    working = PaperOrder.objects.filter(client_order_id__in=("target", "stop"))
    for update in trades(*bar):
        now = datetime.now(UTC)
        quotes.store([replace(update, as_of=now)], now=now)
        order_ids = list(working.values_list("pk", flat=True))
        match_account("paper", order_ids, now=now, parts={"AAPL": update.bar})

    statuses = {name: venue.find_order(name).status for name in ("stop", "target")}
    done, undone = ("stop", "target") if stopped else ("target", "stop")
    assert statuses == {done: VenueStatus.FILLED, undone: VenueStatus.CANCELLED}
