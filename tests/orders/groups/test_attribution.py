"""Whose fills are whose: tables, and properties over random tapes of several groups."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.contract import Side
from orders.groups.attribution import Dealt, attribute
from portfolio.fold import Execution, Folded, FoldKey, fold
from portfolio.holding import Holding, unrealized_pnl

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
A, B, NOBODY = 1, 2, None


def dealt(*trades):
    """Return executions a second apart: `(group, signed quantity, price)`, a commission of 1."""
    return [
        Dealt(
            Execution(
                FoldKey(START + timedelta(seconds=n), n, str(n)),
                Side.BUY if signed > 0 else Side.SELL,
                abs(Decimal(signed)),
                Decimal(price),
                Decimal(1),
                START.date(),
            ),
            group,
        )
        for n, (group, signed, price) in enumerate(trades)
    ]


def after(*trades, multiplier=1):
    return attribute({}, dealt(*trades), multiplier=Decimal(multiplier))


@pytest.mark.parametrize(
    ("_case", "trades", "holds", "made"),
    [
        ("a group's own", [(A, 10, 5)], {A: 10}, {A: 0}),
        ("closes its own", [(A, 10, 5), (A, -10, 7)], {A: 0}, {A: 20}),
        ("a plain order closes a group's", [(A, 10, 5), (NOBODY, -4, 7)], {A: 6}, {A: 8}),
        (
            "first what no group holds",
            [(NOBODY, 3, 4), (A, 10, 5), (NOBODY, -5, 7)],
            {NOBODY: 0, A: 8},
            {NOBODY: 9, A: 4},
        ),
        (
            "also where that came later",
            [(A, 10, 5), (NOBODY, 3, 4), (NOBODY, -5, 7)],
            {NOBODY: 0, A: 8},
            {NOBODY: 9, A: 4},
        ),
        (
            "then the oldest group's, whichever was filled first",
            [(B, 10, 6), (A, 10, 5), (NOBODY, -15, 8)],
            {A: 0, B: 5},
            {A: 30, B: 10},
        ),
        (
            "a group's own closing order takes its own first",
            [(A, 10, 5), (B, 10, 6), (NOBODY, 10, 1), (B, -10, 8)],
            {A: 10, B: 0, NOBODY: 10},
            {A: 0, B: 20, NOBODY: 0},
        ),
        (
            "what is left of it closes for the others",
            [(A, 10, 5), (B, 10, 6), (B, -14, 8)],
            {A: 6, B: 0},
            {A: 12, B: 20},
        ),
        (
            "what is left then opens for whose order it was",
            [(A, 10, 5), (NOBODY, -15, 8)],
            {A: 0, NOBODY: -5},
            {A: 30, NOBODY: 0},
        ),
        (
            "nobody holds against another: what one opens closes the other's",
            [(A, 10, 5), (B, -15, 8)],
            {A: 0, B: -5},
            {A: 30, B: 0},
        ),
        ("a short leg", [(A, -10, 5), (NOBODY, 10, 4)], {A: 0}, {A: 10}),
        (
            "an opening that is no more, after it was closed, leaves what closed it",
            [(A, -10, 7)],
            {A: -10},
            {A: 0},
        ),
    ],
)
def test_attribution(_case, trades, holds, made):
    found = after(*trades)

    assert {holder: share.quantity for holder, share in found.items()} == holds
    assert {holder: share.realized_pnl for holder, share in found.items()} == made
    assert sum(share.commission for share in found.values()) == len(trades)


def test_a_multiplier_counts_in_what_is_made():
    assert after((A, 10, 5), (NOBODY, -10, 7), multiplier=100)[A].realized_pnl == 2_000


def test_commission_is_shared_by_quantity_and_nothing_of_it_is_lost():
    found = after((A, 1, 5), (B, 2, 5), (NOBODY, -3, 5))

    assert found[A].commission == 1 + Decimal("0.3333333333")
    assert found[B].commission == 1 + Decimal("0.6666666667")


trade = st.tuples(
    st.sampled_from([NOBODY, A, B, 3]),
    st.integers(-20, 20).filter(bool),
    st.integers(1, 1_000).map(lambda cents: Decimal(cents) / 100),
)
MULTIPLIER = Decimal(10)


@given(st.lists(trade, max_size=40))
def test_what_holders_have_adds_up_to_the_position(trades):
    tape = dealt(*trades)

    shares = attribute({}, tape, multiplier=MULTIPLIER)

    position = fold(Folded(), [one.execution for one in tape], multiplier=MULTIPLIER).now.held
    assert sum(share.quantity for share in shares.values()) == position.quantity
    assert sum(share.commission for share in shares.values()) == position.commission
    assert all(share.quantity * position.quantity >= 0 for share in shares.values())
    mark = Decimal(5)
    made = sum(total(share, mark) for share in shares.values())
    assert abs(made - total(position, mark)) <= Decimal("1E-7")  # averages are rounded
    if not position.quantity:
        realized = sum(share.realized_pnl for share in shares.values())
        assert abs(realized - position.realized_pnl) <= Decimal("1E-7")


@given(st.lists(trade, max_size=30), st.integers(0, 30))
def test_it_is_the_same_in_one_go_or_from_any_point_on(trades, cut):
    tape = dealt(*trades)

    early = attribute({}, tape[:cut], multiplier=MULTIPLIER)

    whole = attribute({}, tape, multiplier=MULTIPLIER)
    assert attribute(early, tape[cut:], multiplier=MULTIPLIER) == whole


@given(st.lists(trade, max_size=30))
def test_what_is_flat_is_held_by_nobody(trades):
    tape = dealt(*trades)
    shares = attribute({}, tape, multiplier=MULTIPLIER)
    left = sum(share.quantity for share in shares.values())

    flat = attribute(shares, dealt((NOBODY, -left, 1)) if left else [], multiplier=MULTIPLIER)

    assert {share.quantity for share in flat.values()} <= {0}


def total(held: Holding, mark):
    return held.realized_pnl + unrealized_pnl(held, mark=mark, multiplier=MULTIPLIER)
