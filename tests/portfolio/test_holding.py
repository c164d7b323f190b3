"""What a fill does to a holding: netting, averaging, flipping, realized PnL."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import Side
from portfolio.holding import Holding, apply_fill, quantize, unrealized_pnl

BUY, SELL = Side.BUY, Side.SELL


def holding(quantity, average, realized=0, commission=0):
    quantity, average = Decimal(quantity), Decimal(average)
    return Holding(quantity, quantity * average, Decimal(realized), Decimal(commission))


def after(held, side, quantity, price, *, commission=0, multiplier=1):
    return apply_fill(
        held,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(commission),
        multiplier=Decimal(multiplier),
    )


@pytest.mark.parametrize(
    ("_case", "held", "fill", "expected"),
    [
        ("opening takes the fill price", (0, 0), (BUY, 10, 100), (10, 100, 0)),
        ("adding averages the cost", (10, 100), (BUY, 10, 110), (20, 105, 0)),
        (
            "reducing books the gain, keeps the cost",
            (10, 100),
            (SELL, 4, 110),
            (6, 100, 40),
        ),
        ("closing leaves nothing", (10, 100), (SELL, 10, 90), (0, 0, -100)),
        (
            "flipping reopens at the fill price",
            (10, 100),
            (SELL, 15, 110),
            (-5, 110, 100),
        ),
        ("opening short takes the fill price", (0, 0), (SELL, 10, 100), (-10, 100, 0)),
        ("adding to a short averages", (-10, 100), (SELL, 10, 110), (-20, 105, 0)),
        ("a short gains when price falls", (-10, 100, 5), (BUY, 10, 90), (0, 0, 105)),
        ("flipping a short reopens long", (-10, 100), (BUY, 15, 90), (5, 90, 100)),
    ],
)
def test_apply_fill(_case, held, fill, expected):
    assert after(holding(*held), *fill) == holding(*expected)


def test_the_multiplier_scales_pnl_and_not_cost():
    held = after(holding(2, 100), SELL, 2, 101, multiplier=50)

    assert held.realized_pnl == 100
    assert after(Holding(), BUY, 2, 100, multiplier=50).cost == 200


def test_commission_adds_up_beside_realized_pnl():
    held = after(after(Holding(), BUY, 1, 100, commission="0.1"), SELL, 1, 100, commission="0.2")

    assert (held.realized_pnl, held.commission) == (0, Decimal("0.3"))


def test_unrealized_pnl_is_what_closing_at_the_mark_would_add():
    held = holding(-3, 100)

    closed = after(held, BUY, 3, 90, multiplier=10)
    assert unrealized_pnl(held, mark=Decimal(90), multiplier=Decimal(10)) == closed.realized_pnl


quantities = st.decimals("0.0001", "100000", places=4)
prices = st.decimals("0.00001", "100000", places=5)
fills = st.lists(st.tuples(st.sampled_from(Side), quantities, prices), max_size=30)


@given(fills)
def test_flat_means_no_cost_and_pnl_is_cash(history):
    """Sold minus bought is all there is: realized + cost of what is held = cash taken in."""
    held, cash = Holding(), Decimal(0)
    for side, quantity, price in history:
        held = after(held, side, quantity, price)
        cash -= quantity * price * side.sign

    assert held.quantity == sum((q * s.sign for s, q, _ in history), Decimal(0))
    assert abs((held.realized_pnl - held.cost) - cash) <= len(history) * Decimal("1E-10")
    if not held.quantity:
        assert held.cost == 0


@given(fills)
def test_what_is_stored_and_read_back_folds_the_same(history):
    straight = stored = Holding()
    for side, quantity, price in history:
        straight = after(straight, side, quantity, price)
        stored = after(stored, side, quantity, price)
        stored = Holding(
            stored.quantity,
            quantize(stored.cost),
            quantize(stored.realized_pnl),
            quantize(stored.commission),
        )

    assert stored == straight
