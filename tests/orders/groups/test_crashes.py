"""Two hundred groups whose workers die anywhere on the way: each ends as its policy says.

A worker's death is an exception out of whatever it was doing, never seen by what it called; what
was committed stays. Afterwards only the sweeper's view of the rows is worked off, as a new worker
would.
"""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils import timezone

from brokers import registry
from brokers.contract import OrderRejected, Side
from brokers.models import PaperOrder
from orders import sweeper
from orders.booking import venue_reports
from orders.group_states import GroupType, OnLegFailure
from orders.groups import advance
from orders.intake import submit_group
from orders.intake.group_legs import GroupRequest, LegRequest
from orders.lifecycle import TERMINAL
from orders.models import Order, OrderGroup, Origin
from orders.reports.agreement import differences
from orders.sending import grants, in_flight, submission, venue_queries
from portfolio.models import Position
from tests.orders.groups import option_market
from tests.orders.groups.option_market import symbol

GROUPS = 200
ROUNDS = 150
BUSY_ROUNDS = 8
CONDOR = ((90, "PE", "BUY"), (95, "PE", "SELL"), (105, "CE", "SELL"), (110, "CE", "BUY"))
ROUND = timedelta(seconds=3)


class Died(BaseException):
    """The worker is gone."""


@pytest.fixture
def clock(monkeypatch):
    """The wall's clock and the monotonic one, moved on by the test: `clock.at`."""
    held = SimpleNamespace(at=datetime.now(UTC))
    monkeypatch.setattr(timezone, "now", lambda: held.at)
    monkeypatch.setattr(in_flight, "monotonic", lambda: held.at.timestamp())
    return held


@pytest.fixture
def dying(monkeypatch):
    """Let each of a worker's steps die at random: before it, or right after it is committed."""
    rng = random.Random(5)
    deaths = {"count": 0, "rate": 0.12}

    def may_die():
        if rng.random() < deaths["rate"]:
            deaths["count"] += 1
            raise Died

    def mortal(module, name):
        do = getattr(module, name)

        def step(*args, **values):
            may_die()
            done = do(*args, **values)
            may_die()
            return done

        monkeypatch.setattr(module, name, step)

    mortal(grants, "claim_and_grant")
    mortal(venue_reports, "book")
    mortal(advance, "_close")
    mortal(advance, "advance")
    mortal(registry.adapter_for("paper"), "submit")
    return deaths


@pytest.fixture
def refusing(monkeypatch, account):
    """Have the venue refuse one leg in twelve, whichever it is."""
    rng = random.Random(7)
    adapter = registry.adapter_for("paper")
    send = adapter.submit

    def submit(grant):
        order = Order.objects.get(pk=grant.order_id)
        if order.origin == Origin.SIGNAL and rng.random() < 1 / 12:
            raise OrderRejected("the venue does not like it")
        return send(grant)

    monkeypatch.setattr(adapter, "submit", submit)


def attempt(step, *args, at):
    try:
        step(*args, now=at)
    except Died:
        return


def work(at):
    """Do once whatever the rows say is to be done at that time."""
    for group_id in advance.due(now=at):
        attempt(advance.advance, group_id, at=at)
    for order_id in list(Order.objects.due(now=at).values_list("pk", flat=True)):
        attempt(submission.transmit, order_id, at=at)
    for piece in sweeper._in_flight(now=at):
        piece()
    for order_id in list(Order.objects.filter(poll_due_at__lte=at).values_list("pk", flat=True)):
        Order.objects.filter(pk=order_id).update(poll_due_at=at)
        attempt(venue_queries.look_up, order_id, at=at)
    waiting = Order.objects.filter(pending_action="CANCEL").exclude(status__in=TERMINAL)
    for order_id in list(waiting.values_list("pk", flat=True)):
        Order.objects.filter(pk=order_id).update(cancel_due_at=at)
        attempt(venue_queries.cancel, order_id, at=at)


def submit(trader, n, *, now):
    legs = [
        LegRequest(symbol=symbol(strike, right), side=Side(side), quantity=Decimal(10))
        for strike, right, side in CONDOR
    ]
    request = GroupRequest(
        signal_id=f"g{n}",
        strategy=f"s{n}",
        account="paper",
        type=GroupType.IRON_CONDOR,
        legs=legs,
        body={"n": n},
        on_leg_failure=OnLegFailure.UNWIND if n % 2 else OnLegFailure.KEEP,
    )
    assert submit_group.submit_group(request, client=trader, now=now).status == 202


@pytest.mark.timeout(600)
def test_every_group_ends_as_its_policy_says(account, trader, valkey, refusing, dying, clock):
    option_market.make()
    for n in range(GROUPS):
        submit(trader, n, now=clock.at)
    for n in range(ROUNDS):
        if not OrderGroup.objects.filter(due_at__isnull=False).exists():
            break
        option_market.quote(at=clock.at)
        work(clock.at)
        clock.at += ROUND
        dying["rate"] = 0.12 if n < BUSY_ROUNDS else 0.03

    assert dying["count"] > GROUPS / 2
    for group in OrderGroup.objects.order_by("pk"):
        held = dict(
            Position.objects.filter(strategy=group.strategy).values_list(
                "instrument__symbol", "quantity"
            )
        )
        opened = group.orders.filter(origin=Origin.SIGNAL)
        assert not group.orders.exclude(status__in=TERMINAL).exists(), group
        match group.status:
            case "FILLED":
                assert sorted(held.values()) == [-10, -10, 10, 10], group
            case "PARTIALLY_FILLED":
                assert group.on_leg_failure == "KEEP"
                for order in opened.select_related("instrument"):
                    signed = order.filled_quantity * Side(order.side).sign
                    assert held[order.instrument.symbol] == signed, group
            case "CLOSED" | "REJECTED" | "CANCELLED":
                assert not any(held.values()), group
                assert group.status != "CLOSED" or group.on_leg_failure == "UNWIND"
            case other:
                pytest.fail(f"{group}: {other} {group.detail}")
    sent = PaperOrder.objects.values_list("client_order_id", flat=True)
    assert len(sent) == len(set(sent))
    assert list(differences(["paper"])) == []
