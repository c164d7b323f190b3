"""What holds for every call to a venue, whichever call it is."""

import inspect
import time
from decimal import Decimal

import pytest

from brokers.contract import (
    BrokerAdapter,
    CredentialsRefused,
    DryRun,
    Grant,
    GrantExpired,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
)
from brokers.models import BrokerConnection, PaperOrder
from brokers.paper.venue import PaperVenue
from brokers.registry import adapter_for
from execution_site.floor.events import Event

CALLS = sorted(
    name
    for name, member in inspect.getmembers(BrokerAdapter, inspect.isfunction)
    if not name.startswith("_")
)
READING = {"find_order", "reports_since"}


def grant():
    request = OrderRequest(
        client_order_id="abc",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(10),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    return Grant(
        attempt_id=1,
        order_id=1,
        account="paper",
        attempt=1,
        epoch=1,
        deadline=time.monotonic() + 2,
        request=request,
    )


def argument(call):
    return grant() if call in {"submit", "replace"} else "7"


def test_every_call_of_the_contract_is_in_these_tables():
    assert CALLS == ["cancel", "find_order", "replace", "reports_since", "submit"]


@pytest.mark.parametrize("call", sorted(set(CALLS) - READING))
def test_no_call_that_changes_anything_leaves_a_dry_account(account, quote, call):
    quote("AAPL", bid=99, ask=101)
    adapter = adapter_for("paper")
    adapter.submit(grant())
    was = list(PaperOrder.objects.values())
    BrokerConnection.objects.update(dry_run=True)

    with pytest.raises(DryRun) as told:
        getattr(adapter, call)(argument(call))

    assert told.value.request["call"] == call
    assert list(PaperOrder.objects.values()) == was


@pytest.mark.parametrize("call", sorted(READING))
def test_a_dry_account_can_be_asked(account, call):
    BrokerConnection.objects.update(dry_run=True)

    getattr(adapter_for("paper"), call)(argument(call))


@pytest.mark.parametrize("call", ["submit", "replace"])
def test_a_grant_that_is_no_longer_good_is_none_in_a_dry_run_either(account, call):
    BrokerConnection.objects.update(dry_run=True)
    late = grant()
    late.deadline = time.monotonic() - 1

    with pytest.raises(GrantExpired):
        getattr(adapter_for("paper"), call)(late)


@pytest.mark.parametrize("call", CALLS)
def test_refused_credentials_switch_the_connection_off_once_whatever_was_called(
    account, monkeypatch, call, caplog
):
    def refuse(*_):
        raise CredentialsRefused("the key has been withdrawn")

    monkeypatch.setattr(PaperVenue, call, refuse)

    for _ in range(2):
        with pytest.raises(CredentialsRefused):
            getattr(adapter_for("paper"), call)(argument(call))

    account.refresh_from_db()
    assert not account.is_enabled
    (audit,) = [event.data for event in Event.objects.filter(type="audit")]
    assert (audit["action"], audit["object"]) == ("connection_disabled", "paper")
    assert "the key has been withdrawn" in audit["reason"]
    (told,) = Event.objects.filter(type="connection")
    assert (told.account, told.data["is_enabled"]) == ("paper", False)
    alerts = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(alerts) == 1
