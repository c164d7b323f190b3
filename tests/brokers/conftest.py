"""A paper account with a quoted share, orders for it, and another process that looks on."""

import itertools
import time
from decimal import Decimal

import pytest

from brokers.contract import Grant, OrderRequest, OrderType, Side, TimeInForce
from brokers.paper.venue import PaperVenue
from tests import databases

_ids = itertools.count(1)


@pytest.fixture
def grant():
    """Grant an order: `grant("BUY", 10, limit=99)`; it is good for `seconds`."""

    def make(side=Side.BUY, quantity=10, limit=None, *, seconds=30.0, **values):
        defaults = {
            "symbol": "AAPL",
            "client_order_id": f"c{next(_ids)}",
            "order_type": OrderType.MARKET if limit is None else OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "limit_price": None if limit is None else Decimal(str(limit)),
        }
        request = OrderRequest(
            side=Side(side), quantity=Decimal(str(quantity)), **{**defaults, **values}
        )
        return Grant(
            attempt_id=1,
            order_id=1,
            account="paper",
            attempt=1,
            epoch=1,
            deadline=time.monotonic() + seconds,
            request=request,
        )

    return make


@pytest.fixture
def venue(account, quote):
    """The paper venue for the account `paper`."""
    quote("AAPL", bid=99, ask=101, bid_size=5000, ask_size=5000, last=100)
    return PaperVenue("paper")


@pytest.fixture
def send(venue, grant):
    """Send an order: `send("SELL", 10, limit=99)`."""
    return lambda *args, **values: venue.submit(grant(*args, **values))


@pytest.fixture
def reports(venue):
    """Return every report the venue tells, from the beginning."""

    def read():
        told, cursor = [], ""
        while (page := venue.reports_since(cursor)).reports:
            told += page.reports
            cursor = page.cursor
        return told

    return read


@pytest.fixture
def server(db):
    """A session of the owner's: it sees what is committed, and can be in the way."""
    with databases.as_owner() as session:
        yield session
