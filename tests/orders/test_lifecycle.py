"""The states of an order."""

import pytest

from orders.lifecycle import (
    OPEN,
    TERMINAL,
    TRANSITIONS,
    InvalidTransition,
    OrderStatus,
    advance,
    heard,
)

S = OrderStatus


@pytest.mark.parametrize("current", list(S))
@pytest.mark.parametrize("new", list(S))
def test_only_what_the_table_allows(current, new):
    if new == current or new in TRANSITIONS.get(current, ()):
        assert advance(current, new) is new
    else:
        with pytest.raises(InvalidTransition):
            advance(current, new)


def test_nothing_returns_to_pending_once_it_may_have_been_sent():
    sources = {old for old, news in TRANSITIONS.items() if S.PENDING in news}

    assert sources == {S.SUBMITTING}


def test_an_order_in_doubt_is_never_sent_again():
    assert not {S.PENDING, S.SUBMITTING} & set(TRANSITIONS[S.IN_DOUBT])


def test_a_terminal_order_only_ever_gains_a_fill_or_a_late_acknowledgement():
    for status in TERMINAL:
        assert set(TRANSITIONS.get(status, ())) <= {S.FILLED, S.ACCEPTED}
    assert S.FILLED not in TRANSITIONS


def test_open_and_terminal_part_all_statuses():
    assert set(S) == OPEN | TERMINAL
    assert not OPEN & TERMINAL


@pytest.mark.parametrize(
    ("_case", "current", "said", "expected"),
    [
        ("an acknowledgement moves on", S.SUBMITTING, S.ACCEPTED, S.ACCEPTED),
        ("an acknowledgement after a fill is old news", S.FILLED, S.ACCEPTED, S.FILLED),
        ("a fill beats a cancel", S.CANCELLED, S.FILLED, S.FILLED),
        ("a cancel does not beat a fill", S.FILLED, S.CANCELLED, S.FILLED),
        ("proved absent, then acknowledged", S.FAILED, S.ACCEPTED, S.ACCEPTED),
    ],
)
def test_what_the_venue_says_may_be_old(_case, current, said, expected):
    assert heard(current, said) is expected
