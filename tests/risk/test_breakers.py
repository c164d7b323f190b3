"""When a breaker trips, and when it cannot tell."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from risk.breakers import BreakerKind, BreakerState, Reading, Standing, advance

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMIT = Decimal(100)
LOSS, ERRORS = BreakerKind.DAILY_LOSS, BreakerKind.VENUE_ERRORS


def reading(second, value, *, quote=None, quoted=0.0):
    """Return a reading `second` seconds on, on a quote that is `quoted` seconds old."""
    at = NOW + timedelta(seconds=second)
    number = second if quote is None else quote
    amount = None if value is None else Decimal(str(value))
    return Reading(at, amount, "", number, at - timedelta(seconds=quoted))


def after(*readings, kind=LOSS):
    stands = Standing()
    for one in readings:
        stands = advance(stands, one, kind=kind, threshold=LIMIT)
    return stands


@pytest.mark.parametrize(
    ("_case", "readings", "state", "streak"),
    [
        ("below its threshold", [reading(0, 99.99)], "ARMED", 0),
        ("one reading at it", [reading(0, 100)], "ARMED", 1),
        ("two", [reading(0, 100), reading(1, 100)], "ARMED", 2),
        ("three", [reading(n, 100) for n in range(3)], "TRIPPED", 3),
        ("better in between", [reading(0, 100), reading(1, 99), reading(2, 100)], "ARMED", 1),
        ("on one quote", [reading(n, 100, quote=7) for n in range(9)], "ARMED", 1),
        ("within a second", [reading(n / 10, 100, quote=n) for n in range(9)], "ARMED", 1),
        ("no figure", [reading(0, None)], "UNSAFE", 0),
        ("not a number", [reading(0, "NaN")], "UNSAFE", 0),
        ("infinite", [reading(0, "Infinity")], "UNSAFE", 0),
        ("a quote of 10 s ago", [reading(0, 1, quoted=10)], "ARMED", 0),
        ("an older one", [reading(0, 1, quoted=10.001)], "UNSAFE", 0),
        ("a fresh one again", [reading(0, 1, quoted=11), reading(1, 1)], "ARMED", 0),
        ("tripped stays", [*[reading(n, 100) for n in range(3)], reading(9, 0)], "TRIPPED", 3),
    ],
)
def test_losses_are_confirmed_and_what_cannot_be_told_is_not_safe(_case, readings, state, streak):
    stands = after(*readings)

    assert (stands.state.value, stands.streak) == (state, streak)


def test_a_loss_that_rests_on_no_quote_needs_no_other():
    certain = Reading(NOW, LIMIT)

    assert after(certain).state is BreakerState.TRIPPED


def test_counts_need_no_confirmation():
    assert after(reading(0, 99), kind=ERRORS).state is BreakerState.ARMED
    assert after(reading(0, 100), kind=ERRORS).state is BreakerState.TRIPPED
