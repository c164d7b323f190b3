"""Worst loss, best profit and breakevens of combinations at expiry."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.payoff import Leg, MixedExpiries, payoff

CALL, PUT, SHARE = 1, -1, 0


def leg(quantity, sign, strike, price, *, multiplier=1, underlying="IDX", expiry=None):
    return Leg(
        underlying=underlying,
        quantity=Decimal(quantity),
        multiplier=Decimal(multiplier),
        price=Decimal(str(price)),
        sign=sign,
        strike=None if strike is None else Decimal(strike),
        expiry=expiry,
    )


@pytest.mark.parametrize(
    ("_case", "legs", "debit", "loss", "profit", "breakevens"),
    [
        ("a bought call", [leg(1, CALL, 100, 5)], 5, 5, None, ["105"]),
        ("a sold call has no most it can lose", [leg(-1, CALL, 100, 5)], -5, None, 5, ["105"]),
        ("a sold put loses its strike at most", [leg(-1, PUT, 100, 5)], -5, 95, 5, ["95"]),
        (
            "a bull call spread",
            [leg(1, CALL, 100, 5), leg(-1, CALL, 110, 2)],
            3,
            3,
            7,
            ["103"],
        ),
        (
            "an iron condor of one lot of 75",
            [
                leg(75, PUT, 90, 1),
                leg(-75, PUT, 95, "2.25"),
                leg(-75, CALL, 105, "2.45"),
                leg(75, CALL, 110, "1.4"),
            ],
            "-172.50",
            "202.50",
            "172.50",
            ["92.7", "107.3"],
        ),
        (
            "a straddle",
            [leg(1, CALL, 100, 5), leg(1, PUT, 100, 4)],
            9,
            9,
            None,
            ["91", "109"],
        ),
        ("a share", [leg(10, SHARE, None, 50)], 500, 500, None, ["50"]),
        (
            "a covered call of 100",
            [leg(100, SHARE, None, 50), leg(-1, CALL, 55, 2, multiplier=100)],
            4800,
            4800,
            700,
            ["48"],
        ),
        (
            "two underlyings are added up, each at its worst",
            [leg(1, CALL, 100, 5), leg(1, PUT, 50, 3, underlying="OTHER")],
            8,
            8,
            None,
            [],
        ),
    ],
)
def test_extremes(_case, legs, debit, loss, profit, breakevens):
    found = payoff(legs)

    assert found.net_debit == Decimal(debit)
    assert found.max_loss == (None if loss is None else Decimal(loss))
    assert found.max_profit == (None if profit is None else Decimal(profit))
    assert list(found.breakevens) == [Decimal(at) for at in breakevens]


def test_options_of_several_expiries_have_no_common_expiry():
    with pytest.raises(MixedExpiries):
        payoff([leg(1, CALL, 100, 5, expiry=1), leg(-1, CALL, 100, 3, expiry=2)])


LEGS = st.lists(
    st.builds(
        leg,
        st.integers(-5, 5).filter(bool),
        st.sampled_from([CALL, PUT]),
        st.integers(1, 40),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=6,
)


@given(LEGS, st.integers(0, 400))
def test_nothing_that_can_happen_is_worse_or_better_than_the_extremes(legs, spot):
    found, made = payoff(legs), sum(one.at(Decimal(spot)) for one in legs)

    assert found.max_loss is None or -found.max_loss <= made
    assert found.max_profit is None or made <= found.max_profit


@given(LEGS)
def test_at_a_breakeven_nothing_is_made_or_lost(legs):
    for at in payoff(legs).breakevens:
        assert abs(sum(one.at(at) for one in legs)) < Decimal("0.00001")
