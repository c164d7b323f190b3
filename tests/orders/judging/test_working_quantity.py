"""What of an order can still be filled: one definition, the database's, for whoever asks."""

import random
from decimal import Decimal

import pytest

from orders.booking import read_sql
from orders.control import limit_use
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.lifecycle import OrderStatus
from orders.models import Order
from orders.payloads import order_json
from tests.clock import now

S = OrderStatus


def put(order_id, **columns):
    """Write an order's columns behind the application's back, past the lifecycle's trigger."""
    status = columns.pop("status", None)
    Order.objects.filter(pk=order_id).update(**columns)
    if status == S.PARTIALLY_FILLED:
        for step in (S.SUBMITTING, S.ACCEPTED, S.PARTIALLY_FILLED):
            Order.objects.filter(pk=order_id).update(status=step)
    elif status is not None and status != S.PENDING:
        for step in (S.SUBMITTING, status):
            Order.objects.filter(pk=order_id).update(status=step)


CASES = [
    ("new", {}, 10),
    ("partly filled", {"filled_quantity": 4, "status": S.PARTIALLY_FILLED}, 6),
    (
        "a busted trade is not filled again",
        {"filled_quantity": 1, "amended_quantity": -3, "status": S.PARTIALLY_FILLED},
        6,
    ),
    (
        "a widening modify on its way counts",
        {"reserved_quantity": 20, "filled_quantity": 4, "status": S.PARTIALLY_FILLED},
        16,
    ),
    (
        "both at once",
        {
            "reserved_quantity": 20,
            "filled_quantity": 1,
            "amended_quantity": -3,
            "status": S.PARTIALLY_FILLED,
        },
        16,
    ),
    ("ended", {"filled_quantity": 4, "status": S.CANCELLED}, 0),
    ("ended with a modify on its way", {"reserved_quantity": 20, "status": S.CANCELLED}, 0),
    (
        "more than was asked for",
        {"filled_quantity": 11, "status": S.PARTIALLY_FILLED},
        0,
    ),
]


@pytest.mark.parametrize(("_case", "columns", "expected"), CASES)
def test_gate_grant_clients_and_the_second_way_agree(send, _case, columns, expected):
    """A strategy holds 40 and works an order that closes some of it: what is left of that."""
    send("BUY", 40)
    closing = send("EXIT", 10, transmit=False).order_id
    other = send("EXIT", 1, transmit=False).order_id
    put(closing, **columns)
    wanted = Proposed(
        account="paper", strategy="alpha", symbol="AAPL", side=None, quantity=None, reduce_only=True
    )

    case = gather.open_case(wanted, OrderSpec(client="rest"), now=now())
    gate = gather.read(case).closing_sells - 1
    _, switches = read_sql.with_switches(other)
    order = Order.objects.select_related("connection", "instrument").get(pk=closing)
    (line,) = limit_use.load(["paper"]).lines.values()
    client = order_json(order, account="paper", symbol="AAPL")["remaining_quantity"]

    said = {
        "column": order.working_quantity,
        "gate": gate,
        "grant": switches.closing,
        "second way": line.sells - 1,
        "client": Decimal(client),
    }
    assert said == dict.fromkeys(said, expected)


def test_in_memory_and_in_the_database_it_is_the_same_for_any_order(send):
    order_id = send("BUY", 10, transmit=False).order_id
    put(order_id, status=S.PARTIALLY_FILLED)
    chance = random.Random(7)
    for _ in range(200):
        quantity, filled = chance.randint(1, 50), chance.randint(0, 50)
        Order.objects.filter(pk=order_id).update(
            quantity=quantity,
            filled_quantity=filled,
            amended_quantity=-chance.randint(0, filled),
            reserved_quantity=chance.choice([None, chance.randint(1, 80)]),
        )
        order = Order.objects.get(pk=order_id)
        assert order.remaining_quantity == order.working_quantity
