"""Does everything agree? Orders, positions and the paper ledger against a fold of the fills.

The fold here is one of its own, over exact fractions and from the first fill on: it shares nothing
with what booked them (`portfolio/holding.py`) but the rule, weighted average cost.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db.models import Count, Q, QuerySet, Sum

from brokers.models import Broker, BrokerConnection, PaperHolding, PaperReport
from orders.models import Fill, Order
from portfolio.models import Position

#: What rounding to 10 places at each fill may add up to.
ROUNDING = Fraction(1, 10**10)


@dataclass
class Folded:
    """A position folded again: signed quantity and cost, realized PnL and commission."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    commission: Fraction = Fraction(0)
    fills: int = 0

    def add(self, signed: Fraction, price: Fraction, fee: Fraction, multiplier: Fraction) -> None:
        """Fold one fill in; `signed` is negative for a sale."""
        self.fills += 1
        self.commission += fee
        if self.quantity * signed < 0:
            closing = min(abs(signed), abs(self.quantity)) * (1 if self.quantity > 0 else -1)
            average = self.cost / self.quantity
            self.realized += closing * (price - average) * multiplier
            self.cost -= closing * average
            self.quantity -= closing
            signed += closing
        self.quantity += signed
        self.cost += signed * price


def differences(accounts: list[str] | None = None) -> Iterator[str]:
    """Yield every difference there is, in words; nothing means that all agree."""
    connections = BrokerConnection.objects.order_by("name")
    if accounts is not None:
        connections = connections.filter(name__in=accounts)
    for connection in connections:
        yield from _orders(connection)
        yield from _positions(connection)
        if connection.broker == Broker.PAPER:
            yield from _ledger(connection)


def _orders(connection: BrokerConnection) -> Iterator[str]:
    """Compare each order's totals with the sums of its fills."""
    orders = Order.objects.filter(connection=connection).annotate(
        sum_quantity=Sum("fills__quantity"), sum_commission=Sum("fills__commission")
    )
    for order in orders.iterator():
        for name, stored, summed in (
            ("filled_quantity", order.filled_quantity, order.sum_quantity),
            ("commission", order.commission, order.sum_commission),
        ):
            if stored != (summed or 0):
                yield f"order {order.pk}: {name} is {stored}, its fills sum to {summed or 0}"


def _positions(connection: BrokerConnection) -> Iterator[str]:
    """Compare each position with the fold of its fills."""
    folded: defaultdict[tuple[str, int], Folded] = defaultdict(Folded)
    fills = Fill.objects.filter(connection=connection).select_related("instrument")
    for fill in fills.order_by("traded_at", "venue_trade_id").iterator():
        sign = 1 if fill.side == "BUY" else -1
        folded[fill.strategy, fill.instrument_id].add(
            sign * Fraction(fill.quantity),
            Fraction(fill.price),
            Fraction(fill.commission),
            Fraction(fill.instrument.multiplier),
        )
    stored = {(p.strategy, p.instrument_id): p for p in connection.position_set.all()}
    for key in sorted({*folded, *stored}):
        position, fold = stored.get(key), folded[key]
        for name, was, again in _pairs(position, fold):
            if abs(was - again) > ROUNDING * fold.fills:
                yield f"position {key[0]} {key[1]}: {name} is {was}, its fills fold to {again}"


def _pairs(position: Position | None, fold: Folded) -> Iterator[tuple[str, Fraction, Fraction]]:
    held = Position() if position is None else position
    yield "quantity", Fraction(held.quantity), fold.quantity
    yield "cost", Fraction(held.cost), fold.cost
    yield "realized_pnl", Fraction(held.realized_pnl), fold.realized
    yield "commission", Fraction(held.commission), fold.commission


def _ledger(connection: BrokerConnection) -> Iterator[str]:
    """Compare the engine with the paper venue: executions, holdings, cash and fees."""
    lines = PaperReport.objects.filter(account=connection.name, quantity__isnull=False)
    booked = Fill.objects.filter(connection=connection)
    dealt, known = lines.count(), booked.count()
    if dealt != known:
        yield f"{connection}: the venue dealt {dealt} executions, {known} are booked"
    sides = booked.values("instrument__symbol", "instrument__multiplier").annotate(
        bought=Sum("quantity", filter=Q(side="BUY"), default=Decimal(0)),
        sold=Sum("quantity", filter=Q(side="SELL"), default=Decimal(0)),
        fees=Sum("commission"),
        count=Count("id"),
    )
    held = {h.symbol: h for h in PaperHolding.objects.filter(account=connection.name)}
    for row in sides:
        symbol = row["instrument__symbol"]
        holding = held.pop(symbol, PaperHolding())
        cash = _cash(booked, symbol) * Fraction(row["instrument__multiplier"])
        for name, venue, ours in (
            ("quantity", Fraction(holding.quantity), Fraction(row["bought"] - row["sold"])),
            ("fees", Fraction(holding.fees), Fraction(row["fees"])),
            ("cash", Fraction(holding.cash), cash),
        ):
            if abs(venue - ours) > (ROUNDING * row["count"] if name == "cash" else 0):
                yield f"{connection} {symbol}: the venue's {name} is {venue}, our fills say {ours}"
    for symbol, holding in held.items():
        if holding.quantity:
            yield f"{connection} {symbol}: the venue holds {holding.quantity}, we know of nothing"


def _cash(booked: QuerySet[Fill], symbol: str) -> Fraction:
    """Return what the fills of a symbol brought in, before the multiplier and fees."""
    fills = booked.filter(instrument__symbol=symbol).values_list("side", "quantity", "price")
    return sum(
        (
            (1 if side == "SELL" else -1) * Fraction(quantity) * Fraction(price)
            for side, quantity, price in fills.iterator()
        ),
        Fraction(0),
    )
