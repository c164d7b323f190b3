"""The trading journal: one line per order, as spreadsheets and tax software read it."""

import re
from collections.abc import Iterator
from datetime import datetime

from brokers.instruments import decimal_text, optional_text
from orders.models import Order
from orders.payloads import time_text

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
)
#: What a spreadsheet would run as a formula; a number with its sign is none.
_FORMULA = re.compile(r"^(?:[=@\t\r]|[+-](?![0-9.]+$))")


def lines(
    *, account: str | None, since: datetime | None, until: datetime | None
) -> Iterator[list[str]]:
    """Yield the lines of orders by their creation; `price` is the average fill, else the limit.

    `quantity` is the order's; `mode` is the mode its signal was judged in.
    """
    orders = Order.objects.select_related("connection", "instrument", "signal__decision")
    if account is not None:
        orders = orders.filter(connection__name=account)
    if since is not None:
        orders = orders.filter(created_at__gte=since)
    if until is not None:
        orders = orders.filter(created_at__lt=until)
    for order in orders.order_by("pk").iterator(chunk_size=1000):
        yield [_safe(value) for value in _line(order)]


def _line(order: Order) -> list[str]:
    signal = order.signal
    body = {} if signal is None else signal.body
    decision = None if signal is None else signal.decision
    instrument = order.instrument
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
        instrument.symbol,
    ]


def _safe(value: str) -> str:
    return f"'{value}" if _FORMULA.match(value) else value
