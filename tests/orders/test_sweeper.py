"""Each piece of the sweeper's work stands for itself."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.db import OperationalError

from brokers.contract import OrderType
from brokers.models import BrokerConnection
from execution_site.floor import outages
from orders import hints, sweeper
from orders.control import emergency
from orders.models import Approval, Order
from orders.sending import grants
from risk import control
from risk.change_kinds import ChangeKind
from risk.facts import SystemMode
from risk.four_eyes import ChangeRequest
from tests.clock import now
from tests.databases import url_of

LATER = timedelta(minutes=20)
#: Which rows a kind of work changes, and the status they have when it is done.
CHANGED = {
    "orders_order": ("id", lambda: Order.objects.exclude(status="SUBMITTING").count()),
    "orders_approval": ("signal_id", lambda: Approval.objects.exclude(outcome="WAITING").count()),
    "orders_signal": ("id", lambda: Approval.objects.exclude(outcome="WAITING").count()),
    "risk_changerequest": (
        "id",
        lambda: ChangeRequest.objects.exclude(status="WAITING").count(),
    ),
}


@pytest.fixture
def work(send, steady):
    """Two of each kind that the sweeper itself ends, and the first of each by table."""
    claimed = [send("BUY", 1, transmit=False).order_id for _ in range(2)]
    for order_id in claimed:
        grants.claim_and_grant(order_id, now=now())
    control.set_system_mode(SystemMode.SUPERVISED, actor="rita", reason="x", now=now())
    for _ in range(2):
        assert send("BUY", 1).status == 202
    for n in range(2):
        ChangeRequest.objects.create(
            kind=ChangeKind.MODE,
            target="",
            before={"mode": "SUPERVISED"},
            after={"mode": "GUIDE", "n": n},
            proposer="rita",
            reason="x",
            proposed_at=now(),
            expires_at=now() + timedelta(minutes=15),
        )
    sweeper.sweep(now=now())
    steady.at += 60
    first = Approval.objects.order_by("pk").first()
    return {
        "orders_order": claimed[0],
        "orders_approval": first.signal_id,
        "orders_signal": first.signal_id,
        "risk_changerequest": ChangeRequest.objects.order_by("pk").first().pk,
    }


@pytest.mark.parametrize("table", CHANGED)
def test_a_row_that_somebody_holds_is_left_to_the_next_sweep_and_stops_nothing(db, work, table):
    column, _ = CHANGED[table]
    with psycopg.connect(url_of(db)) as other:
        other.execute(f"SELECT 1 FROM {table} WHERE {column} = %s FOR UPDATE", [work[table]])
        began = datetime.now(UTC)
        swept = sweeper.sweep(now=now() + LATER)
        took = datetime.now(UTC) - began
        held = {name: done() for name, (_, done) in CHANGED.items()}
        other.rollback()
    sweeper.sweep(now=now() + LATER)

    same = {"orders_approval", "orders_signal"} if "al" in table[-6:] else {table}
    assert not swept.failed
    assert took < timedelta(seconds=1.5)  # it waits for nobody
    assert held == {name: 1 if name in same else 2 for name in CHANGED}
    assert {done() for _, done in CHANGED.values()} == {2}


@pytest.mark.parametrize("broken", sweeper._KINDS)
def test_a_kind_of_work_that_fails_is_reported_and_stops_no_other(
    work, broken, monkeypatch, caplog
):
    def fail(*, now):
        raise RuntimeError("out of order")

    monkeypatch.setitem(sweeper._KINDS, broken, fail)
    with caplog.at_level(logging.ERROR, logger="orders.sweeper"):
        swept = sweeper.sweep(now=now() + LATER)

    assert swept.failed == {"RuntimeError: out of order": {broken: 1}}
    assert [record.getMessage() for record in caplog.records] == [
        f"the sweep left out {broken} (1): RuntimeError: out of order"
    ]
    ended = {name: done() for name, (_, done) in CHANGED.items()}
    kinds = dict(zip(CHANGED, ("lost senders", "approvals", "approvals", "proposals"), strict=True))
    assert ended == {name: 0 if kinds[name] == broken else 2 for name in CHANGED}


def test_that_a_service_is_away_is_told_once_and_not_by_each_sweep(work, monkeypatch, caplog):
    def away(*, now):
        raise OperationalError("no") from psycopg.OperationalError("connection refused")

    outages.services.end(outages.DATABASE)
    caplog.clear()
    for kind in sweeper._KINDS:
        monkeypatch.setitem(sweeper._KINDS, kind, away)
    swept = [sweeper.sweep(now=now() + LATER) for _ in range(3)]

    assert [one.failed.keys() for one in swept] == [{outages.DATABASE}] * 3
    assert [record.getMessage() for record in caplog.records] == ["the database failed: no"]


def test_an_account_nobody_speaks_to_stops_no_other(work, caplog):
    elsewhere = BrokerConnection.objects.create(name="elsewhere", broker="oanda")
    Order.objects.filter(pk=work["orders_order"]).update(connection=elsewhere)

    swept = sweeper.sweep(now=now() + LATER)

    (cause,) = swept.failed
    assert cause.startswith("NoAdapter")
    assert swept.failed[cause] == {"lost senders": 1}
    assert CHANGED["orders_order"][1]() == 1
    assert CHANGED["orders_approval"][1]() == 2


def test_what_waits_is_hinted_at_once_an_account(send, monkeypatch):
    given = []
    for kind in ("transmit", "cancel", "look_up"):
        monkeypatch.setattr(hints, kind, lambda account, *, kind=kind: given.append(kind))
    ids = [send("BUY", 1, transmit=False).order_id for _ in range(5)]
    limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(90)}
    resting = [send("BUY", 1, **limit).order_id for _ in range(3)]
    for order_id in resting:
        emergency.request_cancel(order_id, actor="rita", now=now())
    Order.objects.filter(pk__in=resting).update(poll_due_at=now())
    given.clear()

    sweeper.sweep(now=now() + timedelta(seconds=2))

    assert len(ids) == Order.objects.filter(status="PENDING").count()
    assert sorted(given) == ["cancel", "look_up", "transmit"]
