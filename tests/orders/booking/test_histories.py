"""A thousand histories: shuffled, repeated, late, busted, corrected; one end, to the last digit."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from unittest.mock import Mock

import pytest

from brokers.contract import FillKind, FillReport, Liquidity, OrderReport, Side, VenueStatus
from brokers.models import Instrument
from execution_site.floor.events import Event
from orders.booking import position_fold, venue_reports
from orders.models import Fill, FillAmendment, Order
from orders.reports import agreement
from portfolio import fold
from portfolio.models import Position
from tests.clock import now

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
PIECES, EACH = 4, 250


class History:
    """A few orders of one strategy, their trades, and what the venue said of them afterwards."""

    def __init__(self, seed, account, instrument):
        self.draw = random.Random(seed)
        self.strategy = f"h{seed}"
        self.orders = [self._order(n, account, instrument) for n in range(self.draw.randint(1, 3))]
        self.trades, self.amendments = [], []
        for n in range(self.draw.randint(3, 9)):
            self.trades.append(self._trade(n, self.draw.choice(self.orders)))
        for trade in self.draw.sample(self.trades, self.draw.randint(0, 3)):
            for revision in range(1, self.draw.randint(2, 4)):
                self.amendments.append(self._amendment(trade, revision))

    def _order(self, n, account, instrument):
        side = self.draw.choice(list(Side))
        return Order(
            origin="SIGNAL",
            client_order_id=f"{self.strategy}o{n}",
            connection=account,
            strategy=self.strategy,
            instrument=instrument,
            side=side.value,
            order_type="MARKET",
            time_in_force="DAY",
            quantity=1000,
            status="ACCEPTED",
            trading_date=START.date(),
            created_at=START,
            updated_at=START,
            claimed_at=START,
        )

    def _trade(self, n, order):
        return FillReport(
            client_order_id=order.client_order_id,
            venue_order_id=f"v{order.client_order_id}",
            venue_trade_id=f"{self.strategy}t{n}",
            symbol="AAPL",
            side=Side(order.side),
            quantity=Decimal(self.draw.randint(1, 30)),
            price=Decimal(self.draw.randint(9_000, 11_000)) / 100,
            commission=Decimal(self.draw.randint(0, 500)) / 1000,
            commission_currency="USD",
            liquidity=Liquidity.TAKER,
            # Some trades share a time: their ids decide.
            traded_at=START + timedelta(seconds=self.draw.randint(0, 6)),
        )

    def _amendment(self, trade, revision):
        kind = self.draw.choice((FillKind.BUST, FillKind.CORRECTION))
        return replace(
            trade,
            kind=kind,
            revision=revision,
            quantity=Decimal(self.draw.randint(1, 30)),
            price=Decimal(self.draw.randint(9_000, 11_000)) / 100,
        )

    def deliveries(self):
        """Return batches of reports in any order, with repeats."""
        told = self.trades + self.amendments
        told = told + self.draw.choices(told, k=len(told) // 2)
        self.draw.shuffle(told)
        while told:
            size = self.draw.randint(1, 4)
            batch, told = told[:size], told[size:]
            by_order = defaultdict(list)
            for one in batch:
                by_order[one.client_order_id].append(one)
            yield [self._report(name, ones) for name, ones in by_order.items()]

    def _report(self, name, ones):
        return OrderReport(
            client_order_id=name,
            venue_order_id=f"v{name}",
            status=VenueStatus.PARTIALLY_FILLED,
            filled_quantity=Decimal(0),
            reported_at=START,
            fills=tuple(ones),
        )

    def expected(self):
        """Return the fold of what counts, in the venue's order."""
        last = {a.venue_trade_id: a for a in sorted(self.amendments, key=lambda a: a.revision)}
        folded = agreement.Folded()
        for trade in sorted(self.trades, key=lambda t: (t.traded_at, t.venue_trade_id)):
            counts = last.get(trade.venue_trade_id, trade)
            if counts.kind is not FillKind.BUST:
                folded.add(
                    trade.side.sign * Fraction(counts.quantity),
                    Fraction(counts.price),
                    Fraction(counts.commission),
                    Fraction(1),
                )
        return (folded.quantity, folded.cost, folded.realized, folded.commission)


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
