"""How much of each limit is used now: worked out in plain Python, apart from the gate's statement.

Exposure here is of what is held and what works, at the same prices as the gate takes; a test holds
the two against each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from brokers import clocks
from brokers.instruments.kinds import InstrumentKind, decimal_text, optional_text
from brokers.models import BrokerConnection, Instrument, Quote
from orders.models import Order
from orders.payloads import time_text
from portfolio.aggregation import GREEKS
from portfolio.models import OptionGreeks, Position
from risk.limits import GREEK_OF, MEANINGS, Metric
from risk.models import DayResult, RiskLimit, RiskUsage

ZERO = Decimal(0)


@dataclass(slots=True)
class Line:
    """What one strategy, or an account, holds and works in one instrument."""

    symbol: str
    underlying: str
    currency: str
    margin_rate: Decimal
    multiplier: Decimal
    price: Decimal | None
    greeks: Mapping[str, Decimal] | None
    net: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    orders: int = 0

    @property
    def worst(self) -> Decimal:
        """Return the largest |position| that can come of what works."""
        return max(abs(self.net + self.buys), abs(self.net - self.sells))

    @property
    def exposure(self) -> Decimal | None:
        """Return worst |position| x price x multiplier; None without a price."""
        if self.price is None:
            return None if self.worst else ZERO
        return self.worst * self.price * self.multiplier

    def span(self, greek: str) -> tuple[Decimal, Decimal] | None:
        """Return the lowest and highest of a Greek that can come of what works; None: unknown."""
        if not self.worst:
            return ZERO, ZERO
        if self.greeks is None:
            return None
        unit = self.greeks[greek]
        ends = (self.net - self.sells) * unit, (self.net + self.buys) * unit
        return min(ends), max(ends)


@dataclass(slots=True)
class Book:
    """Every line of the accounts, by (account, strategy, symbol), and what else limits bound.

    `days` are those of today that are known, `traded` what has ever been traded, each by account,
    strategy ("" for the account) and currency.
    """

    lines: dict[tuple[str, str, str], Line] = field(default_factory=dict)
    connections: dict[str, BrokerConnection] = field(default_factory=dict)
    replayed: frozenset[str] = frozenset()
    days: dict[tuple[str, str, str], DayResult] = field(default_factory=dict)
    traded: set[tuple[str, str, str]] = field(default_factory=set)
    trades: dict[tuple[str, str], Decimal] = field(default_factory=dict)


def load(accounts: Iterable[str]) -> Book:
    """Return the book of these accounts as it is now."""
    names = list(accounts)
    book = Book()
    book.connections = {c.name: c for c in BrokerConnection.objects.filter(name__in=names)}
    book.replayed = frozenset(clocks.replayed())
    marks = {q.instrument_id: q.mark for q in Quote.objects.all()}
    options = {row.instrument_id: row for row in OptionGreeks.objects.filter(problem="")}
    held = Position.objects.filter(connection__name__in=names).exclude(quantity=0)
    for position in held.select_related("connection", "instrument"):
        _line(book, position, marks, options).net += position.quantity
    working = Order.objects.open().filter(connection__name__in=names)
    for order in working.select_related("connection", "instrument"):
        line = _line(book, order, marks, options)
        line.orders += 1
        if order.side == "BUY":
            line.buys += order.working_quantity
        else:
            line.sells += order.working_quantity
        prices = [p for p in (line.price, order.reserved_price) if p is not None]
        line.price = max(prices, default=None)
    known = DayResult.objects.filter(connection__name__in=names, unmarked=0)
    results = list(known.select_related("connection"))
    traded = Position.objects.filter(connection__name__in=names, folded_at__isnull=False)
    for name, strategy, currency in traded.values_list(
        "connection__name", "strategy", "instrument__currency"
    ):
        book.traded |= {(name, "", currency), (name, strategy, currency)}
    for name, connection in book.connections.items():
        day = connection.trading_date(clocks.market_now(name))
        for row in results:
            if (row.connection_id, row.trading_date) == (connection.pk, day):
                book.days[name, row.strategy, row.currency] = row
        counted = RiskUsage.objects.filter(
            connection=connection, metric=Metric.DAILY_TRADES, trading_date=day
        )
        for strategy, used in counted.values_list("strategy").annotate(Sum("used")):
            book.trades[name, strategy] = used
    return book


def use(limit: RiskLimit, book: Book) -> Decimal | None:
    """Return how much of a limit is used, in its unit; None where it bounds single orders only.

    Of limits that bind each account or instrument by itself, the largest use there is.
    """
    metric = Metric(limit.metric)
    match metric:
        case Metric.MAX_GROSS_EXPOSURE:
            return _largest(_by_currency(limit, book))
        case metric if metric in GREEK_OF:
            return _largest(_greeks(limit, book, GREEK_OF[metric]))
        case Metric.MAX_OPEN_ORDERS:
            return Decimal(sum(line.orders for _, line in _lines(limit, book)))
        case Metric.MAX_POSITION:
            return max((line.worst for line in _netted(limit, book).values()), default=ZERO)
        case Metric.CONCENTRATION:
            return _largest(_shares(limit, book))
        case Metric.DAILY_TRADES:
            return _trades(limit, book)
        case Metric.DAILY_LOSS:
            return _largest(None if day is None else -day.day_pnl for day in _days(limit, book))
        case Metric.DRAWDOWN:
            return _largest(None if day is None else day.below_peak for day in _days(limit, book))
        case _:
            return None


def describe(limit: RiskLimit, book: Book) -> dict[str, Any]:
    """Return a limit as clients see it, with its use and headroom."""
    used = use(limit, book)
    headroom = None if used is None else max(ZERO, limit.value - used)
    return {
        "id": limit.pk,
        "metric": limit.metric,
        "unit": MEANINGS[Metric(limit.metric)].unit,
        "scope": {
            "account": limit.connection.name if limit.connection else None,
            "strategy": limit.strategy or None,
            "symbol": limit.symbol or None,
            "underlying": limit.underlying or None,
        },
        "account": limit.connection.name if limit.connection else None,
        "value": decimal_text(limit.value),
        "used": optional_text(used),
        "headroom": optional_text(headroom),
        "effective_from": time_text(limit.effective_from),
        "effective_until": time_text(limit.effective_until),
        "version": limit.version,
        "owner": limit.owner or None,
        "note": limit.note,
    }


def effective(accounts: Iterable[str], *, now: datetime) -> list[RiskLimit]:
    """Return the limits in force that concern any of these accounts."""
    names = set(accounts)
    rows = RiskLimit.objects.in_force(now).select_related("connection").order_by("metric", "pk")
    return [row for row in rows if row.connection is None or row.connection.name in names]


def _line(
    book: Book,
    row: Any,
    marks: dict[int, Decimal | None],
    options: dict[int, OptionGreeks],
) -> Line:
    instrument = row.instrument
    key = (row.connection.name, row.strategy, instrument.symbol)
    if key not in book.lines:
        book.lines[key] = Line(
            symbol=instrument.symbol,
            underlying=instrument.underlying or instrument.symbol,
            currency=instrument.currency,
            margin_rate=instrument.margin_rate,
            multiplier=instrument.multiplier,
            price=marks.get(instrument.pk),
            greeks=_unit_greeks(instrument, options.get(instrument.pk)),
        )
    return book.lines[key]


def _lines(limit: RiskLimit, book: Book) -> Iterator[tuple[tuple[str, str, str], Line]]:
    account = limit.connection.name if limit.connection else ""
    for key, line in book.lines.items():
        if not account and key[0] in book.replayed:
            continue
        wanted = (
            (account, key[0]),
            (limit.strategy, key[1]),
            (limit.symbol, line.symbol),
            (limit.underlying, line.underlying),
        )
        if all(not want or want == have for want, have in wanted):
            yield key, line


def _netted(limit: RiskLimit, book: Book) -> dict[tuple[str, str], Line]:
    """Return the lines in a limit's scope, each account's strategies netted per instrument."""
    netted: dict[tuple[str, str], Line] = {}
    for (account, _, symbol), line in _lines(limit, book):
        total = netted.setdefault(
            (account, symbol),
            Line(
                line.symbol,
                line.underlying,
                line.currency,
                line.margin_rate,
                line.multiplier,
                line.price,
                line.greeks,
            ),
        )
        total.net += line.net
        total.buys += line.buys
        total.sells += line.sells
        prices = [p for p in (total.price, line.price) if p is not None]
        total.price = max(prices, default=None)
    return netted


def _by_currency(limit: RiskLimit, book: Book) -> Iterator[Decimal | None]:
    sums: defaultdict[str, list[Decimal | None]] = defaultdict(list)
    for line in _netted(limit, book).values():
        sums[line.currency].append(line.exposure)
    for exposures in sums.values():
        known = [e for e in exposures if e is not None]
        yield sum(known, ZERO) if len(known) == len(exposures) else None


def _unit_greeks(
    instrument: Instrument, option: OptionGreeks | None
) -> Mapping[str, Decimal] | None:
    if instrument.kind != InstrumentKind.OPTION:
        return dict.fromkeys(GREEKS, ZERO) | {"delta": instrument.multiplier}
    if option is None:
        return None
    return {name: Decimal(repr(getattr(option, name))) for name in GREEKS}


def _greeks(limit: RiskLimit, book: Book, greek: str) -> Iterator[Decimal | None]:
    """Yield the largest absolute value of each currency's book."""
    sums: defaultdict[str, list[tuple[Decimal, Decimal] | None]] = defaultdict(list)
    for line in _netted(limit, book).values():
        sums[line.currency].append(line.span(greek))
    for spans in sums.values():
        known = [span for span in spans if span is not None]
        low, high = (sum((span[n] for span in known), ZERO) for n in (0, 1))
        yield max(abs(low), abs(high)) if len(known) == len(spans) else None


def _shares(limit: RiskLimit, book: Book) -> Iterator[Decimal | None]:
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (account, _), line in _netted(limit, book).items():
        if line.exposure is None:
            yield None
            continue
        sums[account, line.underlying] += line.exposure
    for (account, _), exposure in sums.items():
        capital = book.connections[account].capital
        yield None if not capital else round(exposure / capital, 6)


def _trades(limit: RiskLimit, book: Book) -> Decimal:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (account, strategy), used in book.trades.items():
        if limit.connection and limit.connection.name != account:
            continue
        if not limit.strategy or limit.strategy == strategy:
            sums[account] += used
    return max(sums.values(), default=ZERO)


def _days(limit: RiskLimit, book: Book) -> Iterator[DayResult | None]:
    """Yield the days that a limit bounds; None for what has traded and whose day is not known."""
    for key in sorted(book.traded | set(book.days)):
        account, strategy, _ = key
        if limit.connection is None:
            mine = account not in book.replayed
        else:
            mine = limit.connection.name == account
        if mine and strategy == limit.strategy:
            yield book.days.get(key)


def _largest(values: Iterable[Decimal | None]) -> Decimal | None:
    known = list(values)
    if None in known:
        return None
    return max((value for value in known if value is not None), default=ZERO)
