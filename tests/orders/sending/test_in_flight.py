"""A clock that is set, forward or back, neither loses a sender nor proves an order absent."""

from datetime import UTC, datetime, timedelta

import pytest

from orders import sweeper
from orders.models import Order
from orders.sending import grants, in_flight, venue_queries

STEPS = [timedelta(0), timedelta(hours=5), timedelta(hours=-5)]
LOST_AFTER = 2 + 3  # the grant's seconds and the paper venue's timeout


@pytest.fixture
def claimed(send, steady):
    """An order whose sender is on its way, seen by a sweep."""
    order_id = send("BUY", 1, transmit=False).order_id
    grants.claim_and_grant(order_id, now=wall())
    sweeper.sweep(now=wall())
    return order_id


def wall():
    return datetime.now(UTC)


def status(order_id):
    return Order.objects.get(pk=order_id).status


@pytest.mark.parametrize("step", STEPS)
def test_a_sender_is_lost_when_its_time_has_passed_whatever_the_clock_shows(claimed, steady, step):
    for seconds, expected in ((0, "SUBMITTING"), (4.9, "SUBMITTING"), (0.1, "IN_DOUBT")):
        steady.at += seconds
        sweeper.sweep(now=wall() + step)
        assert status(claimed) == expected


@pytest.mark.parametrize("step", STEPS)
def test_an_order_is_absent_after_three_answers_over_five_seconds(claimed, steady, step):
    steady.at += LOST_AFTER
    sweeper.sweep(now=wall())
    at = wall()
    table = [(0, "IN_DOUBT"), (0.1, "IN_DOUBT"), (0.1, "IN_DOUBT"), (4.7, "IN_DOUBT")]
    for seconds, expected in [*table, (0.1, "FAILED")]:
        steady.at += seconds
        at += step + timedelta(seconds=2)  # it is set again and again
        assert venue_queries.look_up(claimed, now=at)
        assert status(claimed) == expected
    assert Order.objects.get(pk=claimed).status_reason == "proved_absent"


def test_two_answers_prove_nothing_however_far_apart(claimed, steady):
    steady.at += LOST_AFTER
    sweeper.sweep(now=wall())
    for n in range(2):
        venue_queries.look_up(claimed, now=wall() + timedelta(seconds=3 * n))
        steady.at += 3_600

    assert (status(claimed), Order.objects.get(pk=claimed).not_found_count) == ("IN_DOUBT", 2)


def test_answers_before_the_sender_is_lost_do_not_count(claimed, steady):
    Order.objects.filter(pk=claimed).update(status="IN_DOUBT", poll_due_at=wall())
    for n in range(4):
        steady.at += 1
        venue_queries.look_up(claimed, now=wall() + timedelta(hours=n))

    assert Order.objects.get(pk=claimed).not_found_count == 0


def test_what_another_process_saw_does_not_count(claimed, steady):
    steady.at += 3_600
    in_flight._sends.clear()  # a restart

    sweeper.sweep(now=wall() + timedelta(hours=1))
    assert status(claimed) == "SUBMITTING"
    steady.at += LOST_AFTER
    sweeper.sweep(now=wall() + timedelta(hours=1))
    assert status(claimed) == "IN_DOUBT"


def test_each_claim_of_an_order_is_another_send(claimed, steady):
    Order.objects.filter(pk=claimed).update(claimed_at=wall() - timedelta(hours=1))
    steady.at += LOST_AFTER
    sweeper.sweep(now=wall())

    assert status(claimed) == "SUBMITTING"


def test_what_has_ended_is_not_remembered(claimed, steady):
    assert len(in_flight._sends) == 1
    Order.objects.filter(pk=claimed).update(status="CANCELLED")
    sweeper.sweep(now=wall())

    assert not in_flight._sends
