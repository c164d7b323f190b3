"""The paper venue's matching rules."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import Liquidity, OrderType, Side, TimeInForce
from brokers.paper.matching import (
    Book,
    FillModel,
    PriceSource,
    Working,
    commission,
    draw,
    match_order,
)

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
TAKER, MAKER = Liquidity.TAKER, Liquidity.MAKER
TICK = Decimal("0.01")


def book(bid="99", ask="101", bid_size="50", ask_size="50", last="100"):
    return Book(*(None if v is None else Decimal(v) for v in (bid, ask, bid_size, ask_size, last)))


LOT = Decimal("0.0001")


def meet(on, order, *, tick=TICK, lot=LOT, quote="", **model):
    return match_order(
        on, order, model=FillModel(**model), tick_size=tick, lot_size=lot, quote=quote
    )


def fill(on, side, quantity, limit=None, *, rested=False, slippage="0", tick=TICK):
    order = Working(
        side=side,
        quantity=Decimal(quantity),
        order_type=MARKET if limit is None else LIMIT,
        limit_price=None if limit is None else Decimal(limit),
        rested=rested,
    )
    done = meet(on, order, tick=tick, slippage_basis_points=Decimal(slippage)).execution
    return done and (done.quantity, done.price, done.liquidity, done.flags)


def taken(quantity, price, *flags):
    return (Decimal(quantity), Decimal(price), TAKER, flags)


@pytest.mark.parametrize(
    ("_case", "on", "side", "quantity", "expected"),
    [
        ("a buy takes the ask", book(), BUY, 10, taken(10, 101)),
        ("a sell takes the bid", book(), SELL, 10, taken(10, 99)),
        ("below the quoted size fills whole", book(ask_size="11"), BUY, 10, taken(10, 101)),
        ("at the quoted size fills whole", book(ask_size="10"), BUY, 10, taken(10, 101)),
        ("above the quoted size fills in part", book(ask_size="9"), BUY, 10, taken(9, 101)),
        (
            "an unknown size is unlimited and flagged",
            book(ask_size=None),
            BUY,
            10**9,
            taken(10**9, 101, "unknown_size"),
        ),
        ("a size of nothing is an empty side", book(bid_size="0"), SELL, 10, None),
        ("an empty side of a book does not fill", book(bid=None, bid_size=None), SELL, 10, None),
        ("its other side does", book(bid=None, bid_size=None), BUY, 10, taken(10, 101)),
        (
            "no book at all fills at last",
            book(bid=None, ask=None, bid_size=None, ask_size=None),
            SELL,
            10,
            taken(10, 100, "no_book", "unknown_size"),
        ),
        ("nothing known, nothing filled", Book(), BUY, 10, None),
        (
            "an empty book is none of a feed of trades",
            Book(last=Decimal(100), has_book=True),
            SELL,
            10,
            None,
        ),
    ],
)
def test_market(_case, on, side, quantity, expected):
    assert fill(on, side, quantity) == expected


@pytest.mark.parametrize(
    ("_case", "side", "price", "slippage", "tick", "expected"),
    [
        ("none", BUY, "100", "0", "0.01", "100"),
        ("a buy pays more", BUY, "100", "5", "0.01", "100.05"),
        ("a sell gets less", SELL, "100", "5", "0.01", "99.95"),
        ("a buy is put on the tick above", BUY, "100", "5", "0.02", "100.06"),
        ("a sell is put on the tick below", SELL, "100", "5", "0.02", "99.94"),
        ("less than a tick costs a tick", BUY, "1.08512", "0.01", "0.00001", "1.08513"),
        ("a sell never goes below one tick", SELL, "0.01", "9999", "0.01", "0.01"),
    ],
)
def test_slippage_is_against_us_and_on_the_tick(_case, side, price, slippage, tick, expected):
    on = Book(bid=Decimal(price), ask=Decimal(price))

    _, paid, _, _ = fill(on, side, 1, slippage=slippage, tick=Decimal(tick))

    assert paid == Decimal(expected)


@pytest.mark.parametrize(
    ("_case", "on", "side", "limit", "rested", "expected"),
    [
        ("a buy below the ask rests", book(), BUY, "100.99", False, None),
        ("at the ask it fills at the ask", book(), BUY, "101", False, taken(10, 101)),
        ("above the ask it fills at the ask", book(), BUY, "105", False, taken(10, 101)),
        ("a sell above the bid rests", book(), SELL, "99.01", False, None),
        ("at the bid it fills at the bid", book(), SELL, "99", False, taken(10, 99)),
        ("below the bid it fills at the bid", book(), SELL, "90", False, taken(10, 99)),
        ("a rested buy not touched", book(), BUY, "100.99", True, None),
        (
            "a rested buy touched fills at its limit",
            book(),
            BUY,
            "101",
            True,
            (10, 101, MAKER, ()),
        ),
        (
            "a rested buy the quote went beyond fills at its limit",
            book(),
            BUY,
            "103",
            True,
            (10, 103, MAKER, ()),
        ),
        ("a rested sell touched", book(), SELL, "98", True, (10, 98, MAKER, ())),
        ("an empty side", book(ask=None), BUY, "500", True, None),
        ("size of nothing", book(ask_size="0"), BUY, "500", True, None),
        ("in part", book(ask_size="4"), BUY, "101", False, taken(4, 101)),
        (
            "without a book, at last",
            Book(last=Decimal(100)),
            BUY,
            "100",
            False,
            taken(10, 100, "no_book", "unknown_size"),
        ),
        ("without a book, last beyond the limit", Book(last=Decimal(100)), BUY, "99", False, None),
    ],
)
def test_limit(_case, on, side, limit, rested, expected):
    assert fill(on, side, 10, limit, rested=rested) == expected


fine = st.integers(1, 10**6).map(lambda n: n * Decimal("0.0001"))
models = st.sampled_from([{}, {"price": PriceSource.MID}, {"price": PriceSource.LAST}])
steep = st.decimals(0, 10**5, places=2)


@given(fine, fine, fine, st.sampled_from(Side), st.none() | fine, models, steep)
def test_no_fill_is_at_nothing_whatever_the_slippage_and_the_tick(
    one, other, last, side, limit, model, slippage
):
    on = Book(bid=min(one, other), ask=max(one, other), last=last)
    order = Working(
        side=side,
        quantity=Decimal(1),
        order_type=MARKET if limit is None else LIMIT,
        limit_price=limit,
    )

    done = meet(on, order, slippage_basis_points=slippage, **model).execution

    assert done is None or done.price > 0


def test_a_sale_below_a_tick_brings_what_was_bid_and_no_more():
    assert fill(book(bid="0.004"), SELL, 1) == taken(1, "0.004")
    assert fill(book(bid="0.004"), SELL, 1, "0.001") == taken(1, "0.004")


def test_a_limit_order_pays_no_slippage():
    assert fill(book(), BUY, 10, "105", slippage="500") == taken(10, 101)


@pytest.mark.parametrize(
    ("_case", "quantity", "price", "multiplier", "basis_points", "expected"),
    [
        ("a basis point of the notional", "10", "101", "1", "1", "0.101"),
        ("the multiplier counts", "10", "101", "100", "1", "10.1"),
        ("nothing", "10", "101", "1", "0", "0"),
        ("half goes to the even digit below", "1", "0.000001", "1", "0.5", "0.0000000000"),
        ("half goes to the even digit above", "3", "0.000001", "1", "0.5", "0.0000000002"),
        (
            "as large as the ledger holds",
            "1" + "0" * 17,
            "1" + "0" * 17,
            "1",
            "1",
            "1" + "0" * 30,
        ),
    ],
)
def test_commission(_case, quantity, price, multiplier, basis_points, expected):
    paid = commission(
        quantity=Decimal(quantity),
        price=Decimal(price),
        multiplier=Decimal(multiplier),
        basis_points=Decimal(basis_points),
    )

    assert paid == Decimal(expected)
    assert paid.as_tuple().exponent == -10


prices = st.integers(1, 10**7).map(lambda ticks: ticks * TICK)
quantities = st.decimals("0.0001", 10**6, places=4, allow_nan=False)
sizes = st.none() | st.decimals(0, 10**6, places=4, allow_nan=False)


@st.composite
def books(draw):
    bid, ask = sorted((draw(prices), draw(prices)))
    return Book(
        draw(st.none() | st.just(bid)),
        draw(st.none() | st.just(ask)),
        draw(sizes),
        draw(sizes),
        draw(st.none() | prices),
    )


sides = st.sampled_from(Side)
slippages = st.decimals(0, 500, places=2)


@given(books(), sides, quantities, prices, st.booleans(), slippages)
def test_a_limit_never_fills_worse_than_its_limit(on, side, quantity, limit, rested, slippage):
    done = fill(on, side, quantity, limit, rested=rested, slippage=slippage)
    if done:
        assert (done[1] - limit) * side.sign <= 0


@given(books(), sides, quantities, st.none() | prices, st.booleans(), slippages)
def test_no_more_is_filled_than_asked_and_quoted(on, side, quantity, limit, rested, slippage):
    done = fill(on, side, quantity, limit, rested=rested, slippage=slippage)
    if done:
        size = on.opposite(side)[1]
        assert 0 < done[0] <= quantity
        assert size is None or not on.exists or done[0] <= size


@given(books(), sides, quantities, slippages)
def test_a_market_order_never_beats_the_quote_and_is_on_the_tick(on, side, quantity, slippage):
    done = fill(on, side, quantity, slippage=slippage)
    if done:
        quoted = on.opposite(side)[0] if on.exists else on.last
        assert (done[1] - quoted) * side.sign >= 0
        assert done[1] % TICK == 0


@given(st.lists(books(), min_size=1, max_size=20), sides, quantities)
def test_quantity_is_conserved_over_quotes(quotes, side, quantity):
    remaining, filled = quantity, Decimal(0)
    for on in quotes:
        if remaining and (done := fill(on, side, remaining)):
            remaining, filled = remaining - done[0], filled + done[0]
    assert remaining >= 0
    assert filled + remaining == quantity


@given(books(), sides, st.lists(quantities, min_size=1, max_size=5))
def test_orders_at_one_quote_share_its_size(on, side, wanted):
    size = on.opposite(side)[1]
    total = Decimal(0)
    for quantity in wanted:
        if done := fill(on, side, quantity):
            total += done[0]
            on = on.without(side, done[0])
    assert size is None or not on.exists or total <= size


STOP, STOP_LIMIT = OrderType.STOP, OrderType.STOP_LIMIT


def stop(side, price, *, limit=None, triggered=False, rested=False):
    return Working(
        side=side,
        quantity=Decimal(10),
        order_type=STOP if limit is None else STOP_LIMIT,
        stop_price=Decimal(price),
        limit_price=None if limit is None else Decimal(limit),
        triggered=triggered,
        rested=rested,
    )


@pytest.mark.parametrize(
    ("_case", "on", "order", "triggered"),
    [
        ("a buy below its stop waits", book(ask="101"), stop(BUY, "101.01"), False),
        ("a buy is triggered by the ask", book(ask="101"), stop(BUY, "101"), True),
        ("not by the bid", book(bid="102", ask=None), stop(BUY, "101"), False),
        ("nor by the last trade beside a book", book(last="105"), stop(BUY, "104"), False),
        ("a sell above its stop waits", book(bid="99"), stop(SELL, "98.99"), False),
        ("a sell is triggered by the bid", book(bid="99"), stop(SELL, "99"), True),
        ("beyond its stop too", book(bid="90"), stop(SELL, "99"), True),
        ("without a book by the last trade", Book(last=Decimal(99)), stop(SELL, "99"), True),
        ("by nothing without any price", Book(), stop(SELL, "99"), False),
    ],
)
def test_a_stop_is_triggered_and_fills_no_sooner_than_the_next_quote(_case, on, order, triggered):
    outcome = meet(on, order)

    assert (outcome.triggered, outcome.execution) == (triggered, None)


@pytest.mark.parametrize(
    ("_case", "on", "order", "price", "liquidity"),
    [
        ("a stop takes the next quote, gap included", book(bid="80"), stop(SELL, "99"), 80, TAKER),
        ("a stop limit waits below its limit", book(bid="80"), stop(SELL, "99", limit="98"), 0, 0),
        ("takes at its limit", book(bid="98"), stop(SELL, "99", limit="98"), 98, TAKER),
        (
            "and once it has rested fills at its limit",
            book(bid="99"),
            stop(SELL, "99", limit="98", rested=True),
            98,
            MAKER,
        ),
    ],
)
def test_a_triggered_stop_is_a_market_or_limit_order(_case, on, order, price, liquidity):
    triggered = Working(
        **{name: getattr(order, name) for name in order.__slots__} | {"triggered": True}
    )

    done = meet(on, triggered).execution

    assert (done.price, done.liquidity) == (price, liquidity) if price else done is None


@pytest.mark.parametrize(
    ("_case", "on", "quantity", "expected"),
    [
        ("all of it", book(ask_size="10"), 10, 10),
        ("or nothing", book(ask_size="9"), 10, None),
        ("an unknown size is enough", book(ask_size=None), 10, 10),
    ],
)
def test_fill_or_kill(_case, on, quantity, expected):
    order = Working(
        side=BUY,
        quantity=Decimal(quantity),
        order_type=MARKET,
        time_in_force=TimeInForce.FOK,
    )
    done = meet(on, order).execution
    assert (done and done.quantity) == expected


def resting(limit, *, side=BUY, ahead=None, quantity=10):
    return Working(
        side=side,
        quantity=Decimal(quantity),
        order_type=LIMIT,
        limit_price=Decimal(limit),
        rested=True,
        queue_ahead=None if ahead is None else Decimal(ahead),
    )


@pytest.mark.parametrize(
    ("_case", "on", "order", "ahead", "filled"),
    [
        ("it stands behind what is shown", book(), resting("99"), 50, None),
        ("at a better price it is first", book(), resting("100"), 0, None),
        ("behind the best its place is not known", book(), resting("98"), None, None),
        ("others leave", book(bid_size="20"), resting("99", ahead=50), 20, None),
        ("others who come stand behind", book(bid_size="80"), resting("99", ahead=50), 50, None),
        (
            "a trade at its price moves it on",
            Book(Decimal(99), Decimal(101), Decimal(50), Decimal(50), Decimal(99), Decimal(30)),
            resting("99", ahead=50),
            20,
            None,
        ),
        (
            "what is traded past those before it is its own",
            Book(Decimal(99), Decimal(101), Decimal(50), Decimal(50), Decimal(99), Decimal(54)),
            resting("99", ahead=50),
            0,
            4,
        ),
        (
            "a trade above a buy is none of its own",
            Book(Decimal(99), Decimal(101), Decimal(50), Decimal(50), Decimal(100), Decimal(99)),
            resting("99", ahead=50),
            50,
            None,
        ),
        ("the book coming to it fills it", book(bid="98", ask="99"), resting("99"), None, 10),
    ],
)
def test_queue_position(_case, on, order, ahead, filled):
    outcome = meet(on, order, queue=True)

    assert outcome.execution is None if filled is None else outcome.execution.quantity == filled
    if filled is None or ahead is not None:
        assert outcome.queue_ahead == ahead


@pytest.mark.parametrize(
    ("_case", "model", "expected"),
    [
        ("the book", {}, (10, 101)),
        ("the mid, on the tick against us", {"price": PriceSource.MID}, (10, "100.01")),
        ("the last trade", {"price": PriceSource.LAST}, (10, 100)),
        ("slippage in ticks", {"slippage_ticks": Decimal(3)}, (10, "101.03")),
        ("a share of the size", {"participation": Decimal("0.1")}, (5, 101)),
        ("a slip for certain", {"slip_probability": Decimal(1)}, (10, "101.01")),
    ],
)
def test_fill_models(_case, model, expected):
    on = book(bid="99.01") if "mid" in _case else book()
    order = Working(side=BUY, quantity=Decimal(10), order_type=MARKET)

    done = meet(on, order, **model).execution

    assert (done.quantity, done.price) == tuple(Decimal(value) for value in expected)


def test_what_a_share_of_a_size_gives_is_in_whole_lots():
    order = Working(side=BUY, quantity=Decimal(100), order_type=MARKET)

    done = meet(book(ask_size="57"), order, participation=Decimal("0.5"), lot=Decimal(10)).execution

    assert done.quantity == 20


def test_a_touch_fills_with_its_probability_and_going_through_always():
    touched = [
        meet(book(ask="95"), resting("95"), fill_probability=Decimal("0.3"), quote=str(n)).execution
        for n in range(1000)
    ]
    through = meet(book(ask="94"), resting("95"), fill_probability=Decimal(0)).execution

    assert 240 < sum(done is not None for done in touched) < 360
    assert through.price == 95


def test_draws_depend_on_seed_and_name_alone():
    assert draw(7, "a", "b") == draw(7, "a", "b")
    assert len({draw(7, "a", "b"), draw(8, "a", "b"), draw(7, "ab"), draw(7, "b", "a")}) == 4
    assert all(0 <= draw(1, str(n)) < 1 for n in range(100))
