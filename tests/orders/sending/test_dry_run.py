"""A dry account: every stage runs, what would be sent is kept, and nothing reaches its venue."""

import json
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from brokers import guarded, registry
from brokers.contract import BrokerUnavailable, OrderType
from brokers.models import BrokerConnection, PaperOrder, PaperReport
from brokers.paper.venue import match
from execution_site.floor.events import Event
from orders.control import breakers
from orders.control.emergency import request_cancel
from orders.intake import modify
from orders.intake.modify import Changes
from orders.models import Order, Replacement, SubmissionAttempt
from orders.sending import replacement, venue_queries
from portfolio.models import Position
from risk.models import Breaker, RiskUsage
from tests.clock import now

LIMIT = {"order_type": OrderType.LIMIT, "limit_price": Decimal(95)}


def dry(on=True):
    BrokerConnection.objects.update(dry_run=on)


def ledger():
    """All that the venue knows, to the last report."""
    lines = PaperReport.objects.order_by("pk").values_list("pk", "status")
    return list(PaperOrder.objects.order_by("pk").values()), list(lines)


def attempt():
    return SubmissionAttempt.objects.latest("pk")


@pytest.fixture
def resting(send):
    """A limit order of 10 at 95 that works at the venue, whose account then becomes dry."""
    order_id = send(**LIMIT).order_id
    dry()
    return order_id


@pytest.mark.parametrize(
    ("_case", "asked", "told"),
    [
        ("at market", {}, {"order_type": "MARKET", "limit_price": None}),
        ("a limit", LIMIT, {"order_type": "LIMIT", "limit_price": "95"}),
        (
            "a stop",
            {"order_type": OrderType.STOP, "stop_price": Decimal("105.5")},
            {"order_type": "STOP", "stop_price": "105.5"},
        ),
    ],
)
def test_an_order_of_a_dry_account_ends_unsent_with_what_would_have_been_sent(
    send, _case, asked, told
):
    dry()
    order = Order.objects.get(pk=send("BUY", 10, **asked).order_id)

    assert (order.status, order.status_reason) == ("CANCELLED", "dry_run")
    assert ledger() == ([], [])
    assert not Position.objects.exclude(quantity=0).exists()
    assert attempt().outcome == "DRY_RUN"
    expected = {"call": "submit", "client_order_id": order.client_order_id, "symbol": "AAPL"}
    expected |= {"side": "BUY", "quantity": "10", "time_in_force": "DAY", **told}
    assert expected.items() <= attempt().request.items()


def test_it_is_counted_as_a_cancelled_order_and_frees_what_it_reserved(send):
    dry()
    send("BUY", 10, **LIMIT)

    assert RiskUsage.objects.get().used == 1
    assert not Order.objects.open().exists()


def test_what_would_have_been_sent_is_read_by_clients_in_the_log_and_in_the_console(
    send, trader_key, risk_manager
):
    dry()
    order = Order.objects.get(pk=send("BUY", 10, **LIMIT).order_id)

    api = Client(headers={"authorization": trader_key})
    shown = api.get(f"/api/v1/orders/{order.pk}").json()
    (sent,) = shown["attempts"]
    assert (sent["outcome"], sent["request"]["limit_price"]) == ("DRY_RUN", "95")
    assert shown["log"][-1]["data"]["request"] == sent["request"]

    console = Client()
    console.force_login(risk_manager)
    page = console.get(reverse("admin:orders_order_change", args=[order.pk])).content.decode()
    assert "&quot;limit_price&quot;: &quot;95&quot;" in page


def test_where_nobody_can_tell_whether_an_account_is_dry_nothing_is_sent(send, monkeypatch):
    order_id = send(**LIMIT, transmit=False).order_id
    was = ledger()

    def away(*_):
        raise OperationalError("the database is away")

    monkeypatch.setattr(guarded.statements, "first", away)
    with pytest.raises(BrokerUnavailable, match="dry is not known"):
        registry.adapter_for("paper").cancel(Order.objects.get(pk=order_id).client_order_id)
    assert ledger() == was


def test_new_terms_of_a_working_order_are_kept_and_not_sent(resting):
    was = ledger()
    modify.request_replace(resting, Changes(quantity=Decimal(5)), actor="trader", now=now())
    replacement.transmit(resting, now=now())

    order = Order.objects.get(pk=resting)
    assert (order.status, order.quantity, order.pending_action) == ("ACCEPTED", 10, "NONE")
    assert order.reserved_quantity is None
    assert (Replacement.objects.get().status, Replacement.objects.get().detail) == (
        "REFUSED",
        "dry_run",
    )
    assert (attempt().outcome, attempt().request["call"]) == ("DRY_RUN", "replace")
    assert attempt().request["quantity"] == "5"
    assert ledger() == was


def test_a_cancel_of_a_working_order_is_kept_and_goes_out_when_the_account_is_dry_no_more(resting):
    was = ledger()
    request_cancel(resting, actor="trader", now=now())
    for _ in range(3):
        venue_queries.cancel(resting, now=now())
        Order.objects.update(cancel_due_at=now())

    order = Order.objects.get(pk=resting)
    assert (order.status, order.pending_action) == ("ACCEPTED", "CANCEL")
    assert order.status_reason == "cancel not sent: dry_run"
    tried = SubmissionAttempt.objects.filter(order=resting, outcome="DRY_RUN")
    assert [row.request for row in tried] == [
        {"call": "cancel", "client_order_id": order.client_order_id}
    ]
    assert ledger() == was

    dry(False)
    venue_queries.cancel(resting, now=now())
    assert Order.objects.get(pk=resting).status == "CANCELLED"


def test_a_dry_account_is_still_asked_about_what_works_there(resting, quote):
    Order.objects.update(poll_due_at=now())
    quote("AAPL", bid=93, ask=94)
    match(["AAPL"], now=now())
    venue_queries.look_up(resting, now=now())

    assert Order.objects.get(pk=resting).status == "FILLED"
    assert venue_queries.follow("paper", Order.objects.get().connection_id, now=now()) == 2


def test_an_exit_of_a_dry_account_closes_nothing(send):
    send("BUY", 10)
    dry()
    was = ledger()
    order = Order.objects.get(pk=send("EXIT", None).order_id)

    assert (order.status, order.status_reason) == ("CANCELLED", "dry_run")
    assert Position.objects.get().quantity == 10
    assert ledger() == was


def test_dry_runs_trip_no_breaker(send, account):
    kinds = ("rejection_rate", "venue_errors", "runaway")
    for kind in kinds:
        Breaker.objects.create(kind=kind, threshold=Decimal("0.1"), connection=account)
    Breaker.objects.update(evaluated_at=now())
    dry()
    for _ in range(6):
        assert send("BUY", 10).status == 202
        breakers.evaluate(now=now())

    assert list(Breaker.objects.values_list("value", flat=True)) == [0, 0, 0]


def test_the_log_of_a_dry_order_verifies_like_any_other(send):
    dry()
    send("BUY", 10)

    told = Event.objects.filter(type="order").latest("pk").data
    assert (told["status"], told["status_reason"]) == ("CANCELLED", "dry_run")
    assert json.loads(json.dumps(told["request"]))["call"] == "submit"
