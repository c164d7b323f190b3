"""The paper venue's matching rules."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import Liquidity, OrderType, Side
from brokers.paper.matching import Book, commission, match_order

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
TAKER, MAKER = Liquidity.TAKER, Liquidity.MAKER
TICK = Decimal("0.01")


def book(bid="99", ask="101", bid_size="50", ask_size="50", last="100"):
    return Book(*(None if v is None else Decimal(v) for v in (bid, ask, bid_size, ask_size, last)))


def fill(on, side, quantity, limit=None, *, rested=False, slippage="0", tick=TICK):
    done = match_order(
        on,
        side=side,
        quantity=Decimal(quantity),
        order_type=MARKET if limit is None else LIMIT,
        limit_price=None if limit is None else Decimal(limit),
        rested=rested,
        slippage_basis_points=Decimal(slippage),
        tick_size=tick,
    )
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
        assert (done[1] - quoted) * side.sign >= 0 or done[1] == TICK
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
