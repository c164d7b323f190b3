"""What a group does next, from where its legs stand."""

from datetime import timedelta
from decimal import Decimal

import pytest

from brokers.contract import Side
from orders.group_states import GroupStatus, OnLegFailure
from orders.groups.course import LegState, escalations, next_step, pause
from orders.lifecycle import OrderStatus

S = OrderStatus
WAITS, WORKS, FILLED, REJECTED, CANCELLED = (
    (S.PENDING, 0),
    (S.ACCEPTED, 0),
    (S.FILLED, 10),
    (S.REJECTED, 0),
    (S.CANCELLED, 0),
)
HALF = (S.CANCELLED, 5)
DOUBT = (S.IN_DOUBT, 0)


def spread(bought, sold, *, closed=(0, 0), closing=(False, False)):
    """Return the legs of a bought and a sold option."""
    return [
        LegState(
            number=n,
            side=side,
            stage=n,
            status=status,
            waits=status is S.PENDING,
            filled=Decimal(filled),
            held=Decimal(filled - closed[n]),
            closing=closing[n],
        )
        for n, (side, (status, filled)) in enumerate(
            zip((Side.BUY, Side.SELL), (bought, sold), strict=True)
        )
    ]


@pytest.mark.parametrize(
    ("_case", "legs", "given", "expected"),
    [
        ("the first leg is out", spread(WORKS, WAITS), {}, ("CREATED", (), False, ())),
        ("it is filled", spread(FILLED, WAITS), {}, ("PARTIALLY_FILLED", (1,), False, ())),
        ("both are", spread(FILLED, FILLED), {}, ("FILLED", (), False, ())),
        ("the first is rejected", spread(REJECTED, WAITS), {}, ("CREATED", (), True, ())),
        ("and all has ended", spread(REJECTED, CANCELLED), {}, ("REJECTED", (), False, ())),
        ("nothing was filled", spread(CANCELLED, CANCELLED), {}, ("CANCELLED", (), False, ())),
        (
            "the second is rejected: unwind the first",
            spread(FILLED, REJECTED),
            {},
            ("UNWINDING", (), False, (0,)),
        ),
        (
            "or keep it",
            spread(FILLED, REJECTED),
            {"policy": OnLegFailure.KEEP},
            ("PARTIALLY_FILLED", (), False, ()),
        ),
        (
            "a leg in doubt is waited for",
            spread(FILLED, DOUBT),
            {"giving_up": True},
            ("PARTIALLY_FILLED", (), True, ()),
        ),
        (
            "a part of a short leg is closed first",
            spread(FILLED, HALF),
            {},
            ("UNWINDING", (), False, (1,)),
        ),
        (
            "while its order works the long leg stays",
            spread(FILLED, HALF, closing=(False, True)),
            {},
            ("UNWINDING", (), False, ()),
        ),
        (
            "then the long leg",
            spread(FILLED, HALF, closed=(0, 5)),
            {},
            ("UNWINDING", (), False, (0,)),
        ),
        (
            "until nothing is left",
            spread(FILLED, HALF, closed=(10, 5)),
            {},
            ("CLOSED", (), False, ()),
        ),
        (
            "an exit closes what is whole",
            spread(FILLED, FILLED),
            {"exiting": True},
            ("UNWINDING", (), False, (1,)),
        ),
        (
            "an exit unwinds whatever the policy",
            spread(FILLED, CANCELLED),
            {"exiting": True, "policy": OnLegFailure.KEEP},
            ("UNWINDING", (), False, (0,)),
        ),
        (
            "a cancel crossed by the last fill leaves it whole",
            spread(FILLED, FILLED),
            {"giving_up": True},
            ("FILLED", (), False, ()),
        ),
    ],
)
def test_next_step(_case, legs, given, expected):
    values = {"policy": OnLegFailure.UNWIND, "giving_up": False, "exiting": False} | given

    step = next_step(legs, **values)

    assert (step.status, step.release, step.cancel, step.close) == (
        GroupStatus(expected[0]),
        *expected[1:],
    )
    assert step.settled == (
        step.status not in {"CREATED", "UNWINDING"} and not step.release and not step.cancel
    )


@pytest.mark.parametrize(
    ("turned_away", "seconds"),
    [(0, 0), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (100_000, 60)],
)
def test_a_leg_that_nobody_closes_is_left_alone_longer_each_time_up_to_a_bound(
    turned_away, seconds
):
    assert pause(turned_away) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        (0, 0),
        (29.9, 0),
        (30, 1),
        (299.9, 1),
        (300, 2),
        (1_799.9, 2),
        (1_800, 3),
        (5_399.9, 3),
        (5_400, 4),
        (9_000, 5),
        (86_400, 26),
    ],
)
def test_an_unwinding_that_goes_on_is_escalated_then_every_hour(seconds, times):
    assert escalations(timedelta(seconds=seconds)) == times
