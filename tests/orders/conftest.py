"""A trader's signals, and the worker that sends their orders."""

import itertools
from decimal import Decimal
from types import SimpleNamespace

import pytest

from orders.intake.requests import SignalRequest
from orders.intake.submit_signal import submit_signal
from orders.models import Action
from orders.sending import in_flight, submission
from tests.clock import now

_ids = itertools.count()


@pytest.fixture
def steady(monkeypatch):
    """The monotonic clock of sends under way, moved on by the test: `steady.at`, in seconds."""
    held = SimpleNamespace(at=1_000.0)
    monkeypatch.setattr(in_flight, "monotonic", lambda: held.at)
    return held


@pytest.fixture
def send(trader, quote, valkey):
    """Submit a signal, and transmit its order as a worker would."""
    quote("AAPL", bid=99, ask=101)

    def submit(action="BUY", quantity=10, *, transmit=True, **values):
        number = None if quantity is None else Decimal(quantity)
        values = {"signal_id": f"s{next(_ids)}", "strategy": "alpha", "symbol": "AAPL", **values}
        body = {
            "action": action,
            "quantity": str(quantity),
            **{k: str(v) for k, v in values.items()},
        }
        request = SignalRequest(
            account="paper", action=Action(action), quantity=number, body=body, **values
        )
        outcome = submit_signal(request, client=trader, now=now())
        if transmit and outcome.order_id and not outcome.replayed:
            submission.transmit(outcome.order_id, now=now())
        return outcome

    return submit
