"""A thousand histories: shuffled, repeated, late, busted, corrected; one end, to the last digit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from unittest.mock import Mock

import pytest

from brokers.contract import FillKind, OrderReport, Side, VenueStatus
from brokers.models import Instrument
from execution_site.floor.events import Event
from orders.booking import position_fold, venue_reports
from orders.models import Fill, FillAmendment, Order
from orders.reports import agreement
from portfolio import fold
from portfolio.models import Position
from tests.clock import now
from tests.orders.booking.histories import START, History

PIECES, EACH = 4, 250


@pytest.mark.parametrize("piece", range(PIECES))
def test_every_history_ends_as_if_told_in_order(piece, account, valkey, monkeypatch):
    monkeypatch.setattr(fold, "POINTS_APART", (1, 2, 4, 25)[piece])
    instrument = Instrument.objects.get(symbol="AAPL")
    histories = [History(piece * EACH + n, account, instrument) for n in range(EACH)]
    Order.objects.bulk_create(order for history in histories for order in history.orders)

    for history in histories:
        for batch in history.deliveries():
            venue_reports.book("paper", batch, now=now())

    held = {position.strategy: position for position in Position.objects.all()}
    for history in histories:
        position = held[history.strategy]
        ended = (position.quantity, position.cost, position.realized_pnl, position.commission)
        assert tuple(map(Fraction, ended)) == history.expected(), history.strategy
    assert Fill.objects.count() == sum(len(history.trades) for history in histories)
    found = agreement.differences()  # the paper venue knew nothing; untouched orders told nothing
    assert not [d for d in found if "the venue" not in d and "log ends with None" not in d]


def test_a_late_fill_is_folded_with_the_few_after_it_however_many_there_are(
    account, valkey, monkeypatch
):
    history = History(7, account, Instrument.objects.get(symbol="AAPL"))
    order = history.orders[0]
    order.save()
    trade = replace(history.trades[0], client_order_id=order.client_order_id)
    trades = [
        replace(trade, venue_trade_id=f"t{n}", traded_at=START + timedelta(seconds=n))
        for n in range(300)
    ]
    late = trades.pop(280)
    venue_reports.book("paper", [history._report(order.client_order_id, trades)], now=now())
    read = Mock(side_effect=position_fold.execution)
    monkeypatch.setattr(position_fold, "execution", read)

    venue_reports.book("paper", [history._report(order.client_order_id, [late])], now=now())

    assert 20 <= read.call_count <= 70
    found = agreement.differences()
    assert not [d for d in found if "the venue" not in d]


@pytest.fixture
def filled(account, valkey):
    """A filled order of 10 at 100, and the report that filled it."""
    history = History(1, account, Instrument.objects.get(symbol="AAPL"))
    order = history.orders[0]
    order.quantity = 10
    order.side = "BUY"
    order.save()
    fill = replace(
        history.trades[0],
        client_order_id=order.client_order_id,
        side=Side.BUY,
        quantity=Decimal(10),
        price=Decimal(100),
        commission=Decimal(1),
    )
    report = OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id="v",
        status=VenueStatus.FILLED,
        filled_quantity=Decimal(10),
        reported_at=START,
        fills=(fill,),
    )
    venue_reports.book("paper", [report], now=now())
    return order, report, fill


def totals(order):
    order.refresh_from_db()
    position = Position.objects.get(strategy=order.strategy)
    return (order.status, order.filled_quantity, position.quantity, position.commission)


def test_a_bust_takes_the_trade_back_and_is_told(filled):
    order, report, fill = filled
    assert totals(order) == ("FILLED", 10, 10, 1)

    bust = replace(report, fills=(replace(fill, kind=FillKind.BUST, revision=1),))
    for _ in range(2):
        venue_reports.book("paper", [bust], now=now())

    assert totals(order) == ("FILLED", 0, 0, 0)
    assert (order.amended_quantity, order.average_price) == (-10, None)
    problems = Event.objects.filter(type="reconciliation").values_list("data__problem", flat=True)
    assert list(problems) == [f"bust {fill.venue_trade_id}"]
    assert Fill.objects.count() == FillAmendment.objects.count() == 1


def test_a_correction_that_comes_before_its_trade_counts(filled):
    order, report, fill = filled
    early = replace(
        fill, venue_trade_id="later", kind=FillKind.CORRECTION, revision=1, quantity=Decimal(3)
    )
    venue_reports.book("paper", [replace(report, fills=(early,))], now=now())
    assert totals(order)[1:3] == (10, 10)

    trade = replace(fill, venue_trade_id="later", quantity=Decimal(5))
    venue_reports.book("paper", [replace(report, fills=(trade,))], now=now())

    assert totals(order)[1:3] == (13, 13)
    assert order.amended_quantity == -2


def test_amendments_cannot_be_changed(filled):
    _order, report, fill = filled
    venue_reports.book(
        "paper",
        [replace(report, fills=(replace(fill, kind=FillKind.BUST, revision=1),))],
        now=now(),
    )

    with pytest.raises(Exception, match="permission denied"):
        FillAmendment.objects.update(revision=2)
