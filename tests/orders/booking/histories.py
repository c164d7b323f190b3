"""What a venue may say of orders, in whatever order."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from brokers.contract import FillKind, FillReport, Liquidity, OrderReport, Side, VenueStatus
from orders.models import Order
from orders.reports import agreement

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


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
