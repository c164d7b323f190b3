"""Orders with all that the hot path must know of them, in one statement each.

They come as model instances; what a path does not need of connection and instrument is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import Model

from brokers.models import BrokerConnection, Instrument, Quote
from execution_site.floor import locks, statements
from orders.lifecycle import OPEN_SQL
from orders.models import Order
from portfolio.models import Position
from risk.facts import KillLevel, SystemMode
from risk.kills import EPOCH, STRICTEST, strictest

M = TypeVar("M", bound=Model)

#: The sort below is what waits for every order before the first position is locked.
_ORDERS_AND_POSITIONS = f"""
WITH locked AS MATERIALIZED (
    SELECT o.connection_id, o.strategy, o.instrument_id
    FROM orders_order o JOIN brokers_brokerconnection c ON c.id = o.connection_id
    WHERE c.name = %s AND o.client_order_id = ANY(%s)
    ORDER BY o.id {locks.FOR_UPDATE} OF o)
SELECT 1 FROM portfolio_position p
JOIN (SELECT DISTINCT connection_id, strategy, instrument_id FROM locked) AS l
  ON p.connection_id = l.connection_id AND p.strategy = l.strategy
 AND p.instrument_id = l.instrument_id
ORDER BY p.id {locks.FOR_UPDATE} OF p
"""  # noqa: S608 our own constant
#: What the database works out of the others is not read: it would be stale once they change here.
_ORDER = tuple(f.attname for f in Order._meta.concrete_fields if not f.generated)
_POSITION = tuple(f.attname for f in Position._meta.concrete_fields)
_CONNECTION = ("id", "name", "is_enabled", "environment", "day_roll_time", "day_roll_zone")
_INSTRUMENT = ("id", "symbol", "currency", "multiplier", "pip_size")
_QUOTE = ("instrument_id", "bid", "ask", "last", "as_of")


@dataclass(frozen=True, slots=True)
class Switches:
    """What may stop an order at the last gate, read under the senders' lock.

    `breakers`: one that applies has tripped; `paced`: its account has a limit of sends a second or
    a minute. `closing` is what other closing orders of the strategy on the order's side can still
    fill, `account_closing` what any other order of the account on that side can.
    """

    mode: SystemMode
    live_trading_enabled: bool
    kill_level: KillLevel | None
    breaker_tripped: bool
    paced: bool
    epoch: int
    position: Decimal
    account_position: Decimal
    closing: Decimal
    account_closing: Decimal
    bid: Decimal | None
    ask: Decimal | None


@dataclass(frozen=True, slots=True)
class BookingContext:
    """An order to book into, its position, and which of the reported trades are booked.

    `amended`: some of them have been busted or corrected.
    """

    order: Order
    position: Position | None
    known: frozenset[tuple[str, str]]
    amended: bool


def with_switches(order_id: int) -> tuple[Order, Switches]:
    """Return an order and what may stop it.

    :raises Order.DoesNotExist: there is none
    """
    row = statements.first(_SWITCHES, {"id": order_id})
    if row is None:
        raise Order.DoesNotExist
    values = iter(row)
    order = _order(values)
    mode, live, kill, breakers, paced, epoch, *rest = values
    position, account, closing, account_closing, bid, ask = rest
    zero = Decimal(0)
    return order, Switches(
        SystemMode(mode),
        live,
        strictest(kill)[0],
        breakers,
        paced,
        epoch,
        position or zero,
        account or zero,
        closing or zero,
        account_closing or zero,
        bid,
        ask,
    )


def order(order_id: int) -> Order | None:
    """Return an order with its account and instrument, None where there is none."""
    row = statements.first(_ONE, {"id": order_id})
    return None if row is None else _order(iter(row))


def lock_orders_and_positions(account: str, client_order_ids: Sequence[str]) -> None:
    """Lock the orders of these ids, and when all of them are locked, their positions."""
    statements.run(_ORDERS_AND_POSITIONS, [account, list(client_order_ids)])


def to_book(
    account: str, client_order_ids: Sequence[str], trades: Sequence[str]
) -> tuple[dict[str, BookingContext], Iterator[int]]:
    """Return the locked orders of these ids, by id, with what booking `trades` into them needs.

    Orders of one position share it. With them come as many new ids of fills as there are trades.
    """
    found = statements.run(
        _TO_BOOK,
        {"account": account, "ids": list(client_order_ids), "trades": list(trades)},
    )
    positions: dict[int, Position] = {}
    booked, fill_ids = {}, []
    for row in found:
        values = iter(row)
        order = _order(values)
        quote = _instance(Quote, _QUOTE, values)
        if quote.pk is not None:
            order.instrument.quote = quote
        position = _instance(Position, _POSITION, values)
        if position.pk is not None:
            position = positions.setdefault(position.pk, position)
        known, amended, fill_ids = values
        booked[order.client_order_id] = BookingContext(
            order,
            None if position.pk is None else position,
            frozenset((trade, side) for trade, _, side in (k.rpartition(" ") for k in known or ())),
            amended,
        )
    return booked, iter(fill_ids)


def _order(values: Any) -> Order:
    order = _instance(Order, _ORDER, values)
    order.connection = _instance(BrokerConnection, _CONNECTION, values)
    order.instrument = _instance(Instrument, _INSTRUMENT, values)
    return order


def _instance(model: type[M], names: Sequence[str], values: Any) -> M:
    """Return a model instance made of the next values; other fields are read when asked for."""
    return model.from_db("default", names, [next(values) for _ in names])


def _select(alias: str, model: type[Model], names: Sequence[str]) -> str:
    columns = {f.attname: f.column for f in model._meta.concrete_fields}
    return ", ".join(f"{alias}.{columns[name]}" for name in names)


_ORDER_COLUMNS = ", ".join(
    (
        _select("o", Order, _ORDER),
        _select("c", BrokerConnection, _CONNECTION),
        _select("i", Instrument, _INSTRUMENT),
    )
)
_ONE = f"""
SELECT {_ORDER_COLUMNS} FROM orders_order o
JOIN brokers_brokerconnection c ON c.id = o.connection_id
JOIN brokers_instrument i ON i.id = o.instrument_id
WHERE o.id = %(id)s
"""  # noqa: S608 our own names
_SWITCHES = f"""
SELECT {_ORDER_COLUMNS}, control.mode, control.live_trading_enabled,
       {STRICTEST.format(connection="o.connection_id", strategy="o.strategy", symbol="i.symbol")},
       EXISTS (SELECT 1 FROM risk_breaker b
               WHERE b.is_enabled AND b.state = 'TRIPPED' AND b.strategy IN ('', o.strategy)
                 AND (b.connection_id IS NULL OR b.connection_id = o.connection_id)),
       EXISTS (SELECT 1 FROM risk_risklimit l
               WHERE l.metric IN ('orders_per_second', 'orders_per_minute')
                 AND (l.connection_id IS NULL OR l.connection_id = o.connection_id)),
       {EPOCH},
       (SELECT quantity FROM portfolio_position
            WHERE connection_id = o.connection_id AND strategy = o.strategy
              AND instrument_id = o.instrument_id),
       (SELECT sum(quantity) FROM portfolio_position
            WHERE connection_id = o.connection_id AND instrument_id = o.instrument_id),
       (SELECT sum(working_quantity) FROM orders_order
            WHERE connection_id = o.connection_id AND strategy = o.strategy
              AND instrument_id = o.instrument_id AND side = o.side AND reduce_only
              AND id <> o.id AND status IN {OPEN_SQL}),
       (SELECT sum(working_quantity) FROM orders_order
            WHERE connection_id = o.connection_id AND instrument_id = o.instrument_id
              AND side = o.side AND id <> o.id AND status IN {OPEN_SQL}),
       q.bid, q.ask
FROM orders_order o
JOIN brokers_brokerconnection c ON c.id = o.connection_id
JOIN brokers_instrument i ON i.id = o.instrument_id
JOIN risk_systemcontrol AS control ON control.id = 1
LEFT JOIN brokers_quote q ON q.instrument_id = o.instrument_id
WHERE o.id = %(id)s
"""  # noqa: S608 our own names
_TO_BOOK = f"""
SELECT {_ORDER_COLUMNS}, {_select("q", Quote, _QUOTE)}, {_select("p", Position, _POSITION)},
       ARRAY(SELECT f.venue_trade_id || ' ' || f.side FROM orders_fill f
             WHERE f.connection_id = o.connection_id AND f.instrument_id = o.instrument_id
               AND f.venue_trade_id = ANY(%(trades)s)),
       EXISTS (SELECT 1 FROM orders_fillamendment a
               WHERE a.connection_id = o.connection_id AND a.instrument_id = o.instrument_id
                 AND a.venue_trade_id = ANY(%(trades)s)),
       ARRAY(SELECT nextval('orders_fill_id_seq')
             FROM generate_series(1, cardinality(%(trades)s::text[])))
FROM orders_order o
JOIN brokers_brokerconnection c ON c.id = o.connection_id AND c.name = %(account)s
JOIN brokers_instrument i ON i.id = o.instrument_id
LEFT JOIN brokers_quote q ON q.instrument_id = o.instrument_id
LEFT JOIN portfolio_position p ON p.connection_id = o.connection_id AND p.strategy = o.strategy
                              AND p.instrument_id = o.instrument_id
WHERE o.client_order_id = ANY(%(ids)s)
"""  # noqa: S608 our own names
