"""What intake must know to judge a signal: read after the locks, in one statement."""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from brokers.contract import Side
from execution_site import statements
from risk.checks import Facts, KillLevel, Metric, SystemMode

DEFAULT_QUOTE_AGE = Decimal(10)  # seconds
DEFAULT_SIGNAL_AGE = Decimal(300)  # seconds


@dataclass(frozen=True, slots=True)
class References:
    """The connection and instrument a signal names, and ids drawn for what it will become.

    `clock` is the market's time where the account's market is replayed, else None.
    """

    connection_id: int
    connection_enabled: bool
    roll_time: time
    roll_zone: str
    environment: str
    instrument_id: int
    currency: str
    multiplier: Decimal
    tick_size: Decimal
    lot_size: Decimal
    is_tradable: bool
    clock: datetime | None
    signal_id: int
    decision_id: int
    order_id: int


@dataclass(frozen=True, slots=True)
class Situation:
    """The state the signal is judged against."""

    stored_hash: str | None
    stored_status: int | None
    stored_answer: str | None
    stored_order: int | None
    mode: SystemMode
    kill_active: bool
    kill_level: KillLevel
    installation: str
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    quoted_at: datetime | None
    limits: dict[str, Decimal]
    allowed: tuple[tuple[str, ...], ...]
    denied: tuple[str, ...]
    trades_today: Decimal
    position: Decimal
    closing_sell: Decimal
    closing_buy: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The order that somebody asks for, as far as risk is concerned."""

    symbol: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    reduce_only: bool
    closable: Decimal | None
    generated_at: datetime | None = None
    valid_until: datetime | None = None


class UnknownNames(Exception):
    """The account, the symbol, or both are unknown."""

    def __init__(self, *, account: bool, symbol: bool) -> None:
        super().__init__(account, symbol)
        self.account, self.symbol = account, symbol


def references(account: str, symbol: str) -> References:
    """Read what does not change while we judge; the ids are lost when nothing comes of them.

    :raises UnknownNames: saying which
    """
    found = References(*statements.one(_REFERENCES, [account, symbol]))
    if not found.connection_id or not found.instrument_id:
        raise UnknownNames(account=not found.connection_id, symbol=not found.instrument_id)
    return found


def situation(
    *,
    client_id: int,
    strategy: str,
    key: str,
    connection_id: int,
    instrument_id: int,
    usage_id: int | None,
) -> Situation:
    """Read all that can change, in the statement after the locks."""
    row = statements.one(
        _SITUATION,
        {
            "client": client_id,
            "strategy": strategy,
            "key": key,
            "connection": connection_id,
            "instrument": instrument_id,
            "usage": usage_id,
        },
    )
    head, (limits, allowed, denied), tail = row[:12], row[12:15], row[15:]
    (stored_hash, stored_status, stored_answer, stored_order) = head[:4]
    mode, kill_active, kill_level, installation, bid, ask, last, quoted_at = head[4:]
    trades, position, sells, buys = (Decimal(value or 0) for value in tail)
    return Situation(
        stored_hash,
        stored_status,
        stored_answer,
        stored_order,
        SystemMode(mode),
        kill_active,
        KillLevel(kill_level),
        installation,
        bid,
        ask,
        last,
        quoted_at,
        {metric: Decimal(value) for metric, value in (limits or {}).items()},
        tuple(tuple(names) for names in (allowed or [])),
        tuple(denied or []),
        trades,
        position,
        sells,
        buys,
    )


def closable(seen: Situation, side: Side) -> Decimal:
    """Return what `side` can still close: what is held less what working orders already take."""
    held, taken = (
        (seen.position, seen.closing_sell)
        if side is Side.SELL
        else (-seen.position, seen.closing_buy)
    )
    return max(held - taken, Decimal(0))


def judged(known: References, seen: Situation, asked: Asked, *, now: datetime) -> Facts:
    """Return what risk judges an order by; `now` is the market's time."""
    limits = seen.limits
    return Facts(
        now=now,
        mode=seen.mode,
        kill_active=seen.kill_active,
        kill_level=seen.kill_level,
        connection_enabled=known.connection_enabled,
        symbol=asked.symbol,
        side=asked.side,
        quantity=asked.quantity,
        limit_price=asked.limit_price,
        stop_price=asked.stop_price,
        reduce_only=asked.reduce_only,
        closable=asked.closable,
        generated_at=asked.generated_at,
        valid_until=asked.valid_until,
        tick_size=known.tick_size,
        lot_size=known.lot_size,
        is_tradable=known.is_tradable,
        bid=seen.bid,
        ask=seen.ask,
        last=seen.last,
        quoted_at=seen.quoted_at,
        allowed=seen.allowed,
        denied=seen.denied,
        max_order_quantity=limits.get(Metric.MAX_ORDER_QUANTITY),
        max_daily_trades=limits.get(Metric.DAILY_TRADES),
        trades_today=seen.trades_today,
        max_quote_age=limits.get(Metric.QUOTE_AGE_SECONDS, DEFAULT_QUOTE_AGE),
        max_signal_age=limits.get(Metric.SIGNAL_AGE_SECONDS, DEFAULT_SIGNAL_AGE),
    )


def lock_usage(connection_id: int, day: date) -> int:
    """Lock the account's count of the day's trades, making it first where it is missing."""
    params = (connection_id, Metric.DAILY_TRADES.value, day)
    if (row := statements.run(_LOCK_USAGE, params).fetchone()) is None:
        statements.run(_MAKE_USAGE, params)
        row = statements.one(_LOCK_USAGE, params)
    return int(row[0])


_LOCK_USAGE = """SELECT id FROM risk_riskusage
WHERE connection_id = %s AND metric = %s AND trading_date = %s FOR UPDATE"""
_MAKE_USAGE = """INSERT INTO risk_riskusage (connection_id, metric, trading_date, used)
VALUES (%s, %s, %s, 0) ON CONFLICT DO NOTHING"""
_REFERENCES = """
SELECT c.id, coalesce(c.is_enabled, false), c.day_roll_time, c.day_roll_zone, c.environment,
       i.id, i.currency, i.multiplier, i.tick_size, i.lot_size, coalesce(i.is_tradable, false),
       clock.now, nextval('orders_signal_id_seq'), nextval('risk_riskdecision_id_seq'),
       nextval('orders_order_id_seq')
FROM (SELECT 1) AS one
LEFT JOIN brokers_brokerconnection c ON c.name = %s
LEFT JOIN brokers_marketclock clock ON clock.connection_id = c.id
LEFT JOIN brokers_instrument i ON i.symbol = %s
"""
_SITUATION = """
SELECT s.body_hash, s.answer_status, s.answer, o.id,
       control.mode, control.kill_active, control.kill_level, control.installation,
       q.bid, q.ask, q.last, q.as_of,
       (SELECT json_object_agg(metric, value) FROM (
            SELECT metric, min(value)::text AS value FROM risk_risklimit
            WHERE connection_id IS NULL OR connection_id = %(connection)s
            GROUP BY metric) AS tightest),
       (SELECT json_agg(symbols) FROM (
            SELECT json_agg(symbol) AS symbols FROM risk_symbolrule
            WHERE rule = 'ALLOW' AND (connection_id IS NULL OR connection_id = %(connection)s)
            GROUP BY connection_id) AS lists),
       (SELECT json_agg(symbol) FROM risk_symbolrule
            WHERE rule = 'DENY' AND (connection_id IS NULL OR connection_id = %(connection)s)),
       (SELECT used FROM risk_riskusage WHERE id = %(usage)s),
       (SELECT quantity FROM portfolio_position
            WHERE connection_id = %(connection)s AND strategy = %(strategy)s
              AND instrument_id = %(instrument)s),
       closing.sells, closing.buys
FROM risk_systemcontrol AS control
LEFT JOIN orders_signal s ON s.client_id = %(client)s AND s.strategy = %(strategy)s
                         AND s.signal_id = %(key)s
LEFT JOIN orders_order o ON o.signal_id = s.id
LEFT JOIN brokers_quote q ON q.instrument_id = %(instrument)s
CROSS JOIN (
    SELECT sum(quantity - filled_quantity) FILTER (WHERE side = 'SELL') AS sells,
           sum(quantity - filled_quantity) FILTER (WHERE side = 'BUY') AS buys
    FROM orders_order
    WHERE connection_id = %(connection)s AND strategy = %(strategy)s
      AND instrument_id = %(instrument)s AND reduce_only
      AND status IN ('PENDING', 'SUBMITTING', 'IN_DOUBT', 'SUBMITTED', 'ACCEPTED',
                     'PARTIALLY_FILLED')
) AS closing
WHERE control.id = 1
"""
