"""The trading journal: one line per order, as spreadsheets and tax software read it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.contract import Side
from brokers.instruments.kinds import decimal_text, optional_text
from orders.booking.position_fold import amendments_of, execution
from orders.models import Fill, Order
from orders.payloads import time_text
from portfolio.fold import Folded, Trade, effective, fold, in_order
from portfolio.holding import quantize

COLUMNS = (
    "timestamp",
    "order_id",
    "symbol",
    "side",
    "quantity",
    "price",
    "status",
    "exchange",
    "product",
    "strategy",
    "timeframe",
    "mode",
    "underlying",
    "account",
    "currency",
    "origin",
    "order_type",
    "filled_quantity",
    "commission",
    "commission_currency",
    "realized_pnl",
    "client_order_id",
    "venue_order_id",
    "signal_id",
    "group_id",
    "leg",
    "trade_ids",
    "trading_date",
    "filled_at",
)
BETWEEN = ";"  # several values in one cell
#: What a spreadsheet would run as a formula; a number with its sign is none.
_FORMULA = re.compile(r"^(?:[=@\t\r]|[+-](?![0-9.]+$))")


@dataclass
class Traded:
    """What an order's fills came to, busts left out.

    `realized_pnl` is what they made by closing, in the quote currency, before commission, which
    stands beside it by its currency.
    """

    realized_pnl: Decimal = Decimal(0)
    commission: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    trade_ids: list[str] = field(default_factory=list)


def lines(
    *, account: str | None, since: datetime | None, until: datetime | None
) -> Iterator[list[str]]:
    """Yield the lines of orders by their creation; `price` is the average fill, else the limit.

    `quantity` is the order's; `mode` is the mode that it was judged in. A position is folded when
    the first of its orders comes by.
    """
    orders = Order.objects.select_related(
        "connection", "instrument", "decision", "signal", "group__signal"
    )
    if account is not None:
        orders = orders.filter(connection__name=account)
    if since is not None:
        orders = orders.filter(created_at__gte=since)
    if until is not None:
        orders = orders.filter(created_at__lt=until)
    positions: dict[tuple[int, str, int], dict[int, Traded]] = {}
    for order in orders.order_by("pk").iterator(chunk_size=1000):
        position = (order.connection_id, order.strategy, order.instrument_id)
        if position not in positions:
            positions[position] = by_order(order)
        yield [_safe(value) for value in _line(order, positions[position].get(order.pk, Traded()))]


def by_order(one: Order) -> dict[int, Traded]:
    """Return what each order of a position has traded, the position being that of `one`."""
    fills = Fill.objects.filter(
        connection=one.connection_id, strategy=one.strategy, instrument=one.instrument_id
    ).select_related("instrument")
    own = {Trade(fill.venue_trade_id, Side(fill.side)): fill for fill in fills}
    done = in_order(map(execution, own.values()))
    amendments = amendments_of(one, done)
    traded: defaultdict[int, Traded] = defaultdict(Traded)
    held = Folded()
    for counting in effective(done, amendments):
        before = quantize(held.now.held.realized_pnl)
        held = fold(held, [counting], multiplier=one.instrument.multiplier)
        trade = counting.key.venue_trade_id
        mine = traded[own[Trade(trade, counting.side)].order_id]
        mine.realized_pnl += quantize(held.now.held.realized_pnl) - before
        paid = counting.elsewhere or {one.instrument.currency: counting.commission}
        for currency, amount in paid.items():
            mine.commission[currency] += amount
        mine.trade_ids.append(trade)
    return traded


def _line(order: Order, traded: Traded) -> list[str]:
    signal = order.signal or (order.group.signal if order.group else None)
    body: dict[str, Any] = {} if signal is None else signal.body
    decision, instrument = order.decision, order.instrument
    return [
        time_text(order.created_at) or "",
        str(order.pk),
        instrument.symbol,
        order.side,
        decimal_text(order.quantity),
        optional_text(order.average_price or order.limit_price) or "",
        order.status,
        str(body.get("exchange") or instrument.exchange),
        str(body.get("product") or ""),
        order.strategy,
        str(body.get("timeframe") or ""),
        "" if decision is None else decision.inputs["mode"],
        instrument.underlying or instrument.symbol,
        order.connection.name,
        instrument.currency,
        order.origin,
        order.order_type,
        decimal_text(order.filled_quantity),
        BETWEEN.join(map(decimal_text, traded.commission.values())) or "0",
        BETWEEN.join(traded.commission),
        decimal_text(traded.realized_pnl),
        order.client_order_id,
        order.venue_order_id,
        "" if signal is None else signal.signal_id,
        str(order.group_id or ""),
        "" if order.leg is None else str(order.leg),
        BETWEEN.join(traded.trade_ids),
        order.trading_date.isoformat(),
        time_text(order.filled_at) or "",
    ]


def _safe(value: str) -> str:
    return f"'{value}" if _FORMULA.match(value) else value
