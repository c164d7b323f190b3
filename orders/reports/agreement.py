"""Does everything agree? Orders, positions and the paper ledger against a fold of the fills.

The fold here is one of its own, over fractions and from the first fill on: it shares nothing with
what booked them (`portfolio/holding.py`) but the rules: weighted average cost, the share of it that
closing a part takes rounded half-even to 20 places, commissions of other currencies apart. So it
agrees to the last digit, or something is wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction

from django.db.models import F, Q, QuerySet, Sum

from brokers.models import Broker, BrokerConnection, PaperHolding, PaperReport
from execution_site.floor.events import Event, EventType
from orders.models import Fill, FillAmendment, Order, SharedPosition
from orders.models.share import BEHIND
from portfolio.models import ClosedTrade, Position
from risk.limits import Metric
from risk.models import RiskUsage

COST_PLACES = 10**20
_AMOUNTS = ("quantity", "cost", "realized_pnl", "commission")


def _share(cost: Fraction) -> Fraction:
    """Return a share of a cost as it is taken: to 20 places, half-even."""
    return Fraction(round(cost * COST_PLACES), COST_PLACES)


@dataclass
class Folded:
    """A position folded again: signed quantity and cost, realized PnL and commission.

    `closed` is the net PnL of each trade from flat to flat, or to where it turned round, in order;
    `elsewhere` the commissions in other currencies; `opening` the four amounts before `day`.
    """

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    commission: Fraction = Fraction(0)
    closed: list[Fraction] = field(default_factory=list)
    elsewhere: defaultdict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    day: date = date.min
    opening: tuple[Fraction, ...] = (Fraction(0),) * 4

    def begin(self, day: date) -> None:
        """Keep what there is, where a trading day begins."""
        if day > self.day:
            self.day, self.opening = day, self.amounts

    @property
    def amounts(self) -> tuple[Fraction, ...]:
        """Return quantity, cost, realized PnL and commission."""
        return self.quantity, self.cost, self.realized, self.commission

    def add(self, signed: Fraction, price: Fraction, fee: Fraction, multiplier: Fraction) -> None:
        """Fold one fill in; `signed` is negative for a sale."""
        self.commission += fee
        if self.quantity * signed < 0:
            closing = min(abs(signed), abs(self.quantity)) * (1 if self.quantity > 0 else -1)
            cost_closed = _share(self.cost * closing / self.quantity)
            self.realized += (closing * price - cost_closed) * multiplier
            self.cost -= cost_closed
            self.quantity -= closing
            signed += closing
            if not self.quantity:
                self.closed.append(self.realized - self.commission - sum(self.closed))
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
        yield from _shares(connection)
        yield from _log(connection)
        yield from _trades(connection)
        if connection.broker == Broker.PAPER:
            yield from _ledger(connection)


def _orders(connection: BrokerConnection) -> Iterator[str]:
    """Compare each order's totals with the sums of its fills, as they are amended."""
    quantities: defaultdict[int, Decimal] = defaultdict(Decimal)
    commissions: defaultdict[int, Decimal] = defaultdict(Decimal)
    for fill, counts in _effective(connection):
        quantities[fill.order_id] += counts.quantity
        if _is_own(fill, counts):
            commissions[fill.order_id] += counts.commission
    for order in Order.objects.filter(connection=connection).iterator():
        for name, stored, summed in (
            ("filled_quantity", order.filled_quantity, quantities[order.pk]),
            ("commission", order.commission, commissions[order.pk]),
        ):
            if stored != summed:
                yield f"order {order.pk}: {name} is {stored}, its fills sum to {summed}"


def _trades(connection: BrokerConnection) -> Iterator[str]:
    """Compare the counted trades of each day with the orders that count."""
    counted = {
        (row.strategy, row.trading_date): row.used
        for row in RiskUsage.objects.filter(connection=connection, metric=Metric.DAILY_TRADES)
    }
    if not counted:
        return
    days = [day for _, day in counted]
    orders = Order.objects.filter(connection=connection, trading_date__gte=min(days))
    sent = Counter(
        orders.exclude(status="FAILED")
        .exclude(origin="EXTERNAL")
        .values_list("strategy", "trading_date")
    )
    for key in sorted({*counted, *sent}):
        if counted.get(key, 0) != sent[key]:
            strategy, day = key
            count = counted.get(key, 0)
            yield f"{strategy} {day}: {count} trades are counted, {sent[key]} were made"


def _effective(connection: BrokerConnection) -> Iterator[tuple[Fill, Fill | FillAmendment]]:
    """Yield each fill with what counts of it: itself, or its amendment; in the venue's order."""
    amended = {
        (row.instrument_id, row.venue_trade_id, row.side): row
        for row in FillAmendment.objects.filter(connection=connection).order_by("revision")
    }
    fills = Fill.objects.filter(connection=connection).select_related("instrument")
    for fill in fills.order_by("traded_at", "sequence", "venue_trade_id", "side").iterator():
        counts = amended.get((fill.instrument_id, fill.venue_trade_id, fill.side), fill)
        if getattr(counts, "kind", "NEW") != "BUST":
            yield fill, counts


def _is_own(fill: Fill, counts: Fill | FillAmendment) -> bool:
    """Tell whether a commission is in the instrument's currency."""
    return counts.commission_currency == fill.instrument.currency


def _positions(connection: BrokerConnection) -> Iterator[str]:
    """Compare each position with the fold of its fills."""
    folded: defaultdict[tuple[str, int], Folded] = defaultdict(Folded)
    for fill, counts in _effective(connection):
        sign, own = (1 if fill.side == "BUY" else -1), _is_own(fill, counts)
        fold = folded[fill.strategy, fill.instrument_id]
        fold.begin(fill.trading_date)
        fold.add(
            sign * Fraction(counts.quantity),
            Fraction(counts.price),
            Fraction(counts.commission if own else 0),
            Fraction(fill.instrument.multiplier),
        )
        if not own:
            fold.elsewhere[counts.commission_currency] += Fraction(counts.commission)
    stored = {(p.strategy, p.instrument_id): p for p in connection.position_set.all()}
    for key in sorted({*folded, *stored}):
        position, fold = stored.get(key), folded[key]
        for name, was, again in _pairs(position, fold):
            if was != again:
                held = f"position {key[0]} {key[1]}: {name} is {_text(was)}"
                yield f"{held}, its fills fold to {_text(again)}"
    yield from _closed(connection, folded)


def _shares(connection: BrokerConnection) -> Iterator[str]:
    """Compare what groups and nobody hold of a position with it, where all is attributed."""
    kept = SharedPosition.objects.exclude(BEHIND).filter(position__connection=connection)
    kept = kept.annotate(held=Sum("shares__quantity"), fees=Sum("shares__commission"))
    for row in kept.select_related("position"):
        for name, of_shares in (("quantity", row.held), ("commission", row.fees)):
            if (of_position := getattr(row.position, name)) != of_shares:
                said = f"{name} is {of_position}, its shares sum to {of_shares}"
                yield f"position {row.position.strategy} {row.position.instrument_id}: {said}"


def _closed(
    connection: BrokerConnection, folded: Mapping[tuple[str, int], Folded]
) -> Iterator[str]:
    """Compare the closed trades with those of the fold, each with its PnL and in its place."""
    stored: defaultdict[tuple[str, int], list[Fraction]] = defaultdict(list)
    rows = ClosedTrade.objects.filter(connection=connection)
    for row in rows.order_by("closed_at", "sequence", "venue_trade_id", "pk").iterator():
        stored[row.strategy, row.instrument_id].append(Fraction(row.pnl))
    for key in sorted({*folded, *stored}):
        again = folded[key].closed if key in folded else []
        if stored[key] != again:
            was, are = ([_text(pnl) for pnl in pnls] for pnls in (stored[key], again))
            yield f"position {key[0]} {key[1]}: closed trades made {was}, its fills say {are}"


def _pairs(position: Position | None, fold: Folded) -> Iterator[tuple[str, Fraction, Fraction]]:
    held = Position() if position is None else position
    for prefix, amounts in (("", fold.amounts), ("opening_", fold.opening)):
        for name, again in zip(_AMOUNTS, amounts, strict=True):
            yield f"{prefix}{name}", Fraction(getattr(held, f"{prefix}{name}")), again
    elsewhere = held.charged_elsewhere
    for currency in sorted({*elsewhere, *fold.elsewhere}):
        stored = Fraction(elsewhere.get(currency, 0))
        yield f"commission in {currency}", stored, fold.elsewhere[currency]


def _log(connection: BrokerConnection) -> Iterator[str]:
    """Compare the event log: each fill is told once, each order last as it stands."""
    told = Event.objects.filter(account=connection.name)
    fills = Counter(told.filter(type=EventType.FILL).values_list("data__id", flat=True).iterator())
    booked = set(Fill.objects.filter(connection=connection).values_list("pk", flat=True))
    for fill in sorted(booked ^ set(fills)):
        yield f"fill {fill}: told {fills[fill]} times, booked {int(fill in booked)} times"
    yield from (f"fill {fill}: told {times} times" for fill, times in fills.items() if times > 1)
    last = told.filter(type=EventType.ORDER).order_by("pk").values_list("data__id", "data__status")
    statuses = dict(last.iterator())
    for order, status in Order.objects.filter(connection=connection).values_list("pk", "status"):
        if statuses.get(order) != status:
            yield f"order {order}: is {status}, the log ends with {statuses.get(order)}"


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
        fees=Sum(
            "commission",
            filter=Q(commission_currency=F("instrument__currency")),
            default=Decimal(0),
        ),
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
            if venue != ours:
                said = f"the venue's {name} is {_text(venue)}"
                yield f"{connection} {symbol}: {said}, our fills say {_text(ours)}"
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


def _text(amount: Fraction) -> str:
    return format(Decimal(amount.numerator) / Decimal(amount.denominator), "f")
