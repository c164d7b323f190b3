"""What the gate must know to judge an order: references first, the rest after the locks."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from brokers.contract import Side
from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.rows import EXPIRES_AT, FREEZE_QUANTITY, LOT_SIZE, in_force
from execution_site.floor import statements
from orders.judging import situation_sql
from orders.judging.situation import Asked, References, Situation, UnknownNames
from risk import locks
from risk.checks.verdict import seconds
from risk.facts import Facts, Held, Limit, SystemMode, UnitGreeks
from risk.kills import strictest
from risk.limits import GREEK_OF, Metric

DECIMALS = ("net", "own", "buys", "sells", "own_buys", "own_sells", "closing_buys", "closing_sells")


def references(account: str, symbol: str, *, now: datetime) -> References:
    """Read what does not change while we judge; the ids are lost when nothing comes of them.

    :raises UnknownNames: saying which
    """
    params = {"account": account, "symbol": symbol, "now": now}
    found = References(*statements.one(_REFERENCES, params))
    if not found.connection_id or not found.instrument_id:
        raise UnknownNames(account=not found.connection_id, symbol=not found.instrument_id)
    return found


def lock(known: References, asked: Asked, *, now: datetime) -> list[tuple[str, bool]]:
    """Take the locks a verdict needs before those of rows; return the shared limits that apply.

    `now` is the wall's time.
    """
    return lock_all([known], [asked], now=now)


def lock_all(
    known: Sequence[References], asked: Sequence[Asked], *, now: datetime
) -> list[tuple[str, bool]]:
    """Take the locks that verdicts on several orders of one account, strategy and key need."""
    first = asked[0]
    key = locks.key_name(first.client_id, first.strategy, first.key)
    instruments = [one.instrument_id for one in known]
    locks.to_judge(key, connection_id=known[0].connection_id, instrument_ids=instruments)
    scope = _scope(known[0], first, now=now)
    if len(asked) > 1:
        scope |= {
            "symbol": [one.symbol for one in asked],
            "underlying": [one.underlying for one in known],
        }
    return locks.shared_limits(scope)


def read(
    known: References,
    asked: Asked,
    shared: list[tuple[str, bool]],
    *,
    now: datetime,
    day: date,
) -> Situation:
    """Read, after the locks, all that can change; `day` is the account's trading day."""
    valued = [spans for metric, spans in shared if metric in situation_sql.OF_THE_BOOK]
    greeks = any(metric in GREEK_OF for metric, _ in shared)
    params = _scope(known, asked, now=now) | {
        "wall": now,
        "replayed": known.clock is not None,
        "instrument": known.instrument_id,
        "currency": known.currency,
        "day": day,
        "except": asked.excluding,
        "client": asked.client_id,
        "key": asked.key,
        "side": asked.side.value if asked.side else "",
        "quantity": asked.quantity,
        "limit_price": asked.limit_price,
        "stop_price": asked.stop_price,
    }
    sql = situation_sql.statement(book=bool(valued), greeks=greeks, spans=any(valued))
    return _situation(statements.one(sql, params))


def _scope(known: References, asked: Asked, *, now: datetime) -> dict[str, Any]:
    return {
        "connection": known.connection_id,
        "strategy": asked.strategy,
        "symbol": asked.symbol,
        "underlying": known.underlying,
        "now": known.clock or now,
    }


def _situation(row: tuple[Any, ...]) -> Situation:
    (body_hash, answer_status, answer, order_id), row = row[:4], row[4:]
    (mode, live, installation, kill, breakers), row = row[:5], row[5:]
    (bid, ask, bid_size, ask_size, last, has_book, quoted_at), row = row[:7], row[7:]
    (limits, allowed, denied), row = row[:3], row[3:]
    greeks, row = row[0], row[1:]
    held = dict(zip(DECIMALS, row[:8], strict=True))
    best_buy, best_sell, same_at, account_pnl = row[8:]
    level, scope = strictest(kill)
    return Situation(
        body_hash,
        answer_status,
        answer,
        order_id,
        SystemMode(mode),
        live,
        installation,
        level,
        scope,
        tuple(breakers or ()),
        bid,
        ask,
        bid_size,
        ask_size,
        last,
        has_book,
        quoted_at,
        tuple(map(_limit, limits or ())),
        tuple(tuple(names) for names in (allowed or ())),
        tuple(denied or ()),
        greeks,
        Held(net=held["net"], buys=held["buys"], sells=held["sells"]),
        Held(net=held["own"], buys=held["own_buys"], sells=held["own_sells"]),
        held["closing_buys"],
        held["closing_sells"],
        best_buy,
        best_sell,
        same_at,
        None if account_pnl is None else Decimal(account_pnl),
    )


def _limit(row: list[Any]) -> Limit:
    limit_id, version, metric, value, scope, by_strategy, used, low, at = row
    return Limit(
        id=limit_id,
        version=version,
        metric=Metric(metric),
        value=Decimal(value),
        scope=scope or "everything",
        by_strategy=by_strategy,
        used=None if used is None else Decimal(used),
        low=None if low is None else Decimal(low),
        at=None if at is None else datetime.fromisoformat(at),
    )


def closable(seen: Situation, side: Side) -> Decimal:
    """Return what `side` can still close: what is held less what working orders already take."""
    held, taken = (
        (seen.strategy.net, seen.closing_sells)
        if side is Side.SELL
        else (-seen.strategy.net, seen.closing_buys)
    )
    return max(held - taken, Decimal(0))


def judged(known: References, seen: Situation, asked: Asked, *, now: datetime) -> Facts:
    """Return what risk judges an order by; `now` is the wall's time."""
    side = asked.side
    if side is None:
        side = Side.BUY if seen.strategy.net < 0 else Side.SELL
    can_close = closable(seen, side) if asked.reduce_only else None
    quantity = asked.quantity
    if quantity is None:
        quantity = can_close or Decimal(0)
    return Facts(
        now=known.clock or now,
        mode=seen.mode,
        origin=asked.origin,
        approved_by=asked.approved_by,
        change=asked.change,
        kill_level=seen.kill_level,
        kill_scope=seen.kill_scope,
        breakers=seen.breakers,
        connection_enabled=known.connection_enabled,
        environment=known.environment,
        live_trading_enabled=seen.live_trading_enabled,
        reconciling=known.reconciling,
        clock_offset=known.clock_offset,
        symbol=asked.symbol,
        kind=InstrumentKind(known.kind),
        multiplier=known.multiplier,
        tick_size=known.tick_size,
        lot_size=known.lot_size,
        freeze_quantity=known.freeze_quantity,
        min_notional=known.min_notional,
        margin_rate=known.margin_rate,
        is_tradable=known.is_tradable,
        expires_at=known.expires_at,
        in_session=known.in_session,
        side=side,
        order_type=asked.order_type,
        quantity=quantity,
        filled=asked.filled,
        limit_price=asked.limit_price,
        stop_price=asked.stop_price,
        reduce_only=asked.reduce_only,
        closable=can_close,
        generated_at=asked.generated_at,
        valid_until=asked.valid_until,
        bid=seen.bid,
        ask=seen.ask,
        bid_size=seen.bid_size,
        ask_size=seen.ask_size,
        last=seen.last,
        has_book=seen.has_book,
        quoted_at=seen.quoted_at,
        allowed=seen.allowed,
        denied=seen.denied,
        limits=seen.limits,
        account=seen.account,
        strategy=seen.strategy,
        greeks=_unit_greeks(known, seen),
        crossed_price=seen.best_sell if side is Side.BUY else seen.best_buy,
        duplicate_age=None if seen.same_at is None else seconds(now, seen.same_at),
        capital=known.capital,
        account_pnl=seen.account_pnl,
        group=asked.group,
    )


def _unit_greeks(known: References, seen: Situation) -> UnitGreeks | None:
    """Return what one unit of the instrument reacts to; an option's are as last valued."""
    if known.kind != InstrumentKind.OPTION:
        return UnitGreeks(delta=known.multiplier)
    if seen.greeks is None or None in seen.greeks:
        return None
    return UnitGreeks(**dict(zip(GREEK_OF.values(), seen.greeks, strict=True)))


_NOW = "coalesce(clock.now, %(now)s::timestamptz)"
_REFERENCES = f"""
SELECT c.id, coalesce(c.is_enabled, false), c.day_roll_time, c.day_roll_zone, c.environment,
       c.capital, coalesce(c.is_reconciling, false), c.clock_offset,
       i.id, i.kind, i.currency, i.multiplier, i.tick_size, {LOT_SIZE},
       coalesce(i.is_tradable, false), coalesce(nullif(i.underlying, ''), i.symbol),
       {FREEZE_QUANTITY}, i.min_notional, i.margin_rate, {EXPIRES_AT},
       i.strike, i."right",
       coalesce((SELECT s.closes_at > {_NOW} FROM brokers_exchangesession s
                 WHERE s.exchange = i.exchange AND s.opens_at <= {_NOW}
                 ORDER BY s.opens_at DESC LIMIT 1),
                (SELECT false FROM brokers_exchangesession s
                 WHERE s.exchange = i.exchange LIMIT 1)),
       clock.now, nextval('orders_signal_id_seq'), nextval('risk_riskdecision_id_seq'),
       nextval('orders_order_id_seq')
FROM (SELECT 1) AS one
LEFT JOIN brokers_brokerconnection c ON c.name = %(account)s
LEFT JOIN brokers_marketclock clock ON clock.connection_id = c.id
LEFT JOIN brokers_instrument i ON i.symbol = %(symbol)s
{in_force(_NOW)}
"""  # noqa: S608 our own names
