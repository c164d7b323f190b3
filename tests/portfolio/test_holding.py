"""What a fill does to a holding: netting, averaging, flipping, realized PnL."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import Side
from portfolio.holding import CONTEXT, Holding, apply_fill, quantize, unrealized_pnl

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


def sizes():
    """Numbers of every size from 1e-10 to 1e10, to 10 places."""
    scaled = st.builds(
        lambda n, e: Decimal(n).scaleb(e - 10), st.integers(1, 10**6), st.integers(0, 14)
    )
    return scaled | st.decimals("0.0000000001", "10000000000", places=10)


fills = st.lists(st.tuples(st.sampled_from(Side), sizes(), sizes()), max_size=30)


@given(sizes(), sizes(), st.sampled_from(Side), sizes())
def test_the_average_of_one_fill_is_its_price(quantity, price, side, multiplier):
    held = after(Holding(), side, quantity, price, multiplier=multiplier)

    assert held.average_price == price
    assert unrealized_pnl(held, mark=price, multiplier=multiplier) == 0
    for _ in range(2):
        held = after(held, side, quantity, price, multiplier=multiplier)
    assert held.average_price == price
    reduced = after(held, side.opposite, quantity, Decimal(1), multiplier=multiplier)
    assert reduced.average_price == price
    flipped = after(held, side.opposite, 4 * quantity, Decimal(7), multiplier=multiplier)
    assert flipped.average_price == 7


@pytest.mark.parametrize(
    ("quantity", "price"),
    [
        ("0.00000001", "0.03457"),
        ("0.0000000001", "0.0000000001"),
        ("0.0000000001", "9999999999.9999999999"),
        ("9999999999.9999999999", "0.0000000001"),
        ("9999999999.9999999999", "9999999999.9999999999"),
    ],
)
def test_the_average_of_a_very_small_or_large_fill(quantity, price):
    assert after(Holding(), BUY, quantity, price).average_price == Decimal(price)


class Plain:
    """Average cost over fractions, without any rounding."""

    def __init__(self):
        self.quantity = self.cost = self.realized = Fraction(0)

    def add(self, signed, price):
        if self.quantity * signed < 0:
            part = min(Fraction(1), abs(signed / self.quantity))
            closing, share = part * self.quantity, part * self.cost
            self.realized += closing * price - share
            self.quantity, self.cost, signed = (
                self.quantity - closing,
                self.cost - share,
                signed + closing,
            )
        self.quantity, self.cost = self.quantity + signed, self.cost + signed * price


@given(fills)
def test_rounding_is_of_shares_of_the_cost_alone_and_below_what_is_shown(history):
    """Each closing of a part may be off by half of 1e-20; nothing else is ever off."""
    held, plain = Holding(), Plain()
    for side, quantity, price in history:
        held = after(held, side, quantity, price)
        plain.add(side.sign * Fraction(quantity), Fraction(price))

    off = Fraction(len(history), 2 * 10**20)
    assert Fraction(held.quantity) == plain.quantity
    assert abs(Fraction(held.cost) - plain.cost) <= off
    assert abs(Fraction(held.realized_pnl) - plain.realized) <= off


@given(fills, st.integers(0, 30))
def test_a_fold_may_begin_at_any_point_on_the_way(history, split):
    def fold_all(held, some):
        for side, quantity, price in some:
            held = after(held, side, quantity, price)
        return held

    assert fold_all(fold_all(Holding(), history[:split]), history[split:]) == fold_all(
        Holding(), history
    )


@given(fills)
def test_flat_means_no_cost_and_pnl_is_cash(history):
    """Sold minus bought is all there is: realized + cost of what is held = cash taken in."""
    held, cash = Holding(), Decimal(0)
    for side, quantity, price in history:
        held = after(held, side, quantity, price)
        cash = CONTEXT.fma(-side.sign * quantity, price, cash)

    assert held.quantity == sum((q * s.sign for s, q, _ in history), Decimal(0))
    assert CONTEXT.subtract(held.realized_pnl, held.cost) == cash
    if not held.quantity:
        assert held.cost == 0


@given(fills)
def test_what_is_stored_and_read_back_folds_the_same(history):
    straight = stored = Holding()
    for side, quantity, price in history:
        straight = after(straight, side, quantity, price)
        stored = after(stored, side, quantity, price)
        stored = Holding(
            quantize(stored.quantity),
            stored.cost.quantize(Decimal("1E-20"), context=CONTEXT),
            stored.realized_pnl.quantize(Decimal("1E-30"), context=CONTEXT),
            quantize(stored.commission),
        )

    assert stored == straight
