"""Which legs make which combination, and which of them are sent first."""

from decimal import Decimal

import pytest

from brokers.contract import Side
from brokers.instruments.symbols import Right
from orders.group_states import GroupType
from orders.groups.shapes import ShapeLeg, problem, stages

B, S = Side.BUY, Side.SELL
C, P = Right.CALL, Right.PUT
BULL = [(B, 100, C), (S, 110, C)]
CONDOR = [(B, 90, P), (S, 95, P), (S, 105, C), (B, 110, C)]


def legs(*given):
    return [
        ShapeLeg(
            symbol=f"{strike}{right}{n}",
            side=side,
            quantity=Decimal(10),
            underlying="IDX",
            strike=None if strike is None else Decimal(strike),
            right=right,
        )
        for n, (side, strike, right) in enumerate(given)
    ]


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("SPREAD", BULL, None),
        ("SPREAD", BULL[::-1], None),
        ("SPREAD", [(S, 100, P), (B, 95, P)], None),
        ("SPREAD", [(B, 100, C), (S, 110, P)], "one right"),
        ("SPREAD", [(B, 100, C), (S, 100, C)], "two strikes"),
        ("SPREAD", [(B, 100, C), (B, 110, C)], "sells the other"),
        ("SPREAD", [(B, 100, C), (S, None, None)], "is an option"),
        ("STRADDLE", [(S, 100, C), (S, 100, P)], None),
        ("STRADDLE", [(S, 100, C), (S, 105, P)], "one strike"),
        ("STRADDLE", [(S, 100, C), (B, 100, P)], "one side"),
        ("STRADDLE", BULL, "a call and a put"),
        ("STRANGLE", [(S, 105, C), (S, 95, P)], None),
        ("STRANGLE", [(S, 95, C), (S, 105, P)], "higher strike"),
        ("STRANGLE", [(S, 100, C), (S, 100, P)], "higher strike"),
        ("STRANGLE", [(S, 105, C), (B, 95, P)], "one side"),
        ("IRON_CONDOR", CONDOR, None),
        ("IRON_CONDOR", CONDOR[::-1], None),
        ("IRON_CONDOR", [(S, 90, P), (B, 95, P), (B, 105, C), (S, 110, C)], None),
        ("IRON_CONDOR", [(B, 90, P), (S, 100, P), (S, 100, C), (B, 110, C)], None),
        ("IRON_CONDOR", [(B, 90, P), (S, 95, P), (B, 105, C), (S, 110, C)], "the other"),
        ("IRON_CONDOR", CONDOR[:3], "two puts, and two calls"),
        ("IRON_CONDOR", [(B, 90, P), (S, 90, P), (S, 105, C), (B, 110, C)], "two puts"),
        ("IRON_CONDOR", [(B, 90, P), (S, 95, P), (S, 105, C), (B, 105, C)], "strikes of calls"),
        ("IRON_CONDOR", [(B, 90, C), (S, 95, C), (S, 105, P), (B, 110, P)], "two puts"),
        ("CUSTOM", [(B, None, None), (S, 100, C)], None),
        ("CUSTOM", [(B, 100, C)], "2 to 8 legs"),
    ],
)
def test_shapes(kind, given, said):
    found = problem(GroupType(kind), legs(*given))

    assert (found is None) if said is None else said in found


def test_legs_of_a_named_combination_share_underlying_expiry_and_quantity():
    one, other = legs(*BULL)
    for change in ({"underlying": "X"}, {"expires_at": 1}, {"quantity": Decimal(5)}):
        changed = ShapeLeg(**{f: getattr(other, f) for f in ShapeLeg.__slots__} | change)
        assert problem(GroupType.SPREAD, [one, changed])


def test_bought_legs_protect_and_go_first():
    assert stages([side for side, _, _ in CONDOR]) == [0, 1, 1, 0]
    assert stages([S, S]) == [0, 0]
