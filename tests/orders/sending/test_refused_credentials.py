"""A venue that refuses our credentials, at every step of an order."""

import contextlib
from decimal import Decimal

import pytest

from brokers.contract import CredentialsRefused, OrderType
from brokers.models import BrokerConnection
from brokers.paper.venue import PaperVenue
from execution_site.floor.events import Event
from orders.control.emergency import request_cancel
from orders.intake.modify import Changes, request_replace
from orders.models import Order, Replacement
from orders.sending import replacement, submission, venue_queries
from tests.clock import now


def transmit(order_id):
    submission.transmit(order_id, now=now())


def modified(order_id):
    request_replace(order_id, Changes(quantity=Decimal(5)), actor="t", now=now())
    replacement.transmit(order_id, now=now())


def cancel(order_id):
    request_cancel(order_id, actor="t", now=now())
    venue_queries.cancel(order_id, now=now())


def look_up(order_id):
    Order.objects.update(poll_due_at=now())
    venue_queries.look_up(order_id, now=now())


def follow(_):
    account = BrokerConnection.objects.get()
    with contextlib.suppress(CredentialsRefused):
        venue_queries.follow(account.name, account.pk, now=now())


@pytest.mark.parametrize(
    ("call", "step", "left"),
    [
        ("submit", transmit, ("FAILED", "NONE", "credentials_refused")),
        (
            "replace",
            modified,
            ("ACCEPTED", "NONE", "modify failed: credentials refused: withdrawn"),
        ),
        ("cancel", cancel, ("ACCEPTED", "CANCEL", "")),
        ("find_order", look_up, ("ACCEPTED", "NONE", "")),
        ("reports_since", follow, ("ACCEPTED", "NONE", "")),
    ],
)
def test_every_step_switches_the_connection_off(send, account, monkeypatch, call, step, left):
    order_id = send(
        order_type=OrderType.LIMIT, limit_price=Decimal(95), transmit=call != "submit"
    ).order_id

    def refuse(*_):
        raise CredentialsRefused("withdrawn")

    monkeypatch.setattr(PaperVenue, call, refuse)
    step(order_id)

    account.refresh_from_db()
    assert not account.is_enabled
    actions = [event.data["action"] for event in Event.objects.filter(type="audit")]
    assert actions.count("connection_disabled") == 1
    assert Event.objects.filter(type="connection").count() == 1
    order = Order.objects.get(pk=order_id)
    assert (order.status, order.pending_action, order.status_reason) == left
    assert not Replacement.objects.filter(status__in=["WAITING", "SENT"]).exists()
