"""What the gate must know to judge an order: references first, the rest after the locks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.calendars.trading_days import trading_date
from brokers.contract import Side
from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.rows import EXPIRES_AT, FREEZE_QUANTITY, LOT_SIZE, in_force
from execution_site.floor import locks, statements
from orders.judging import situation_sql
from orders.judging.case import Case, OrderSpec, Proposed
from orders.judging.situation import References, Situation, UnknownNames
from risk import limit_rows
from risk.checks.verdict import seconds
from risk.facts import Facts, Limit, SystemMode, UnitGreeks
from risk.kills import strictest
from risk.limits import GREEK_OF, Metric


def open_case(proposed: Proposed, spec: OrderSpec | None, *, now: datetime) -> Case:
    """Read what an order names and does not change while we judge; `now` is the wall's time.

    The ids drawn for it are lost when nothing comes of it.

    :raises UnknownNames: saying which
    """
    params = {"account": proposed.account, "symbol": proposed.symbol, "now": now}
    row = statements.record(_REFERENCES, params)
    if not row["connection_id"] or not row["instrument_id"]:
        raise UnknownNames(account=not row["connection_id"], symbol=not row["instrument_id"])
    found = References(**row)
    day = trading_date(found.clock or now, roll=found.roll_time, zone=found.roll_zone)
    return Case(proposed=proposed, spec=spec, references=found, now=now, day=day)


def lock(cases: Sequence[Case]) -> list[Case]:
    """Take the locks, before those of rows, that verdicts on these need.

    They are of one account, strategy and key. Return them with the shared limits that apply.
    """
    first = cases[0]
    key = locks.key_name(first.proposed.client_id, first.proposed.strategy, first.proposed.key)
    instruments = [case.references.instrument_id for case in cases]
    locks.to_judge(key, connection_id=first.references.connection_id, instrument_ids=instruments)
    scope = _scope(first)
    if len(cases) > 1:
        scope |= {
            "symbol": [case.proposed.symbol for case in cases],
            "underlying": [case.references.underlying for case in cases],
        }
    shared = tuple(limit_rows.lock_shared(scope))
    return [replace(case, shared=shared) for case in cases]


def read(case: Case) -> Situation:
    """Read, in the statement after the locks, all that can change."""
    asked, known = case.proposed, case.references
    valued = [spans for metric, spans in case.shared if metric in situation_sql.OF_THE_BOOK]
    greeks = any(metric in GREEK_OF for metric, _ in case.shared)
    params = _scope(case) | {
        "wall": case.now,
        "replayed": known.clock is not None,
        "instrument": known.instrument_id,
        "currency": known.currency,
        "day": case.day,
        "except": asked.excluding,
        "client": asked.client_id,
        "key": asked.key,
        "side": asked.side.value if asked.side else "",
        "quantity": asked.quantity,
        "limit_price": asked.limit_price,
        "stop_price": asked.stop_price,
    }
    sql = situation_sql.statement(book=bool(valued), greeks=greeks, spans=any(valued))
    return _situation(statements.record(sql, params))


def _scope(case: Case) -> dict[str, Any]:
    return {
        "connection": case.references.connection_id,
        "strategy": case.proposed.strategy,
        "symbol": case.proposed.symbol,
        "underlying": case.references.underlying,
        "now": case.references.clock or case.now,
    }


def _situation(row: dict[str, Any]) -> Situation:
    level, scope = strictest(row.pop("kill"))
    pnl = row.pop("account_pnl")
    read: dict[str, Any] = {
        "mode": SystemMode(row.pop("mode")),
        "breakers": tuple(row.pop("breakers") or ()),
        "limits": tuple(map(_limit, row.pop("limits") or ())),
        "allowed": tuple(map(tuple, row.pop("allowed") or ())),
        "denied": tuple(row.pop("denied") or ()),
    }
    return Situation(
        **row,
        **read,
        kill_level=level,
        kill_scope=scope,
        account_pnl=None if pnl is None else Decimal(pnl),
    )


def _limit(row: dict[str, Any]) -> Limit:
    used, low, at = row["used"], row["low"], row["at"]
    read: dict[str, Any] = {
        "metric": Metric(row["metric"]),
        "value": Decimal(row["value"]),
        "used": None if used is None else Decimal(used),
        "low": None if low is None else Decimal(low),
        "at": None if at is None else datetime.fromisoformat(at),
    }
    return Limit(**row | read)


def facts_for(case: Case, seen: Situation) -> Facts:
    """Return what risk judges an order by."""
    asked, known, now = case.proposed, case.references, case.now
    side = asked.side
    if side is None:
        side = Side.BUY if seen.strategy.net < 0 else Side.SELL
    can_close = seen.closable(side) if asked.reduce_only else None
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
SELECT c.id AS connection_id, coalesce(c.is_enabled, false) AS connection_enabled,
       c.day_roll_time AS roll_time, c.day_roll_zone AS roll_zone, c.environment, c.capital,
       coalesce(c.is_reconciling, false) AS reconciling, c.clock_offset,
       i.id AS instrument_id, i.kind, i.currency, i.multiplier, i.tick_size,
       {LOT_SIZE} AS lot_size, coalesce(i.is_tradable, false) AS is_tradable,
       coalesce(nullif(i.underlying, ''), i.symbol) AS underlying,
       {FREEZE_QUANTITY} AS freeze_quantity, i.min_notional, i.margin_rate,
       {EXPIRES_AT} AS expires_at, i.strike, i."right",
       coalesce((SELECT s.closes_at > {_NOW} FROM brokers_exchangesession s
                 WHERE s.exchange = i.exchange AND s.opens_at <= {_NOW}
                 ORDER BY s.opens_at DESC LIMIT 1),
                (SELECT false FROM brokers_exchangesession s
                 WHERE s.exchange = i.exchange LIMIT 1)) AS in_session,
       clock.now AS clock, nextval('orders_signal_id_seq') AS signal_id,
       nextval('risk_riskdecision_id_seq') AS decision_id,
       nextval('orders_order_id_seq') AS order_id
FROM (SELECT 1) AS one
LEFT JOIN brokers_brokerconnection c ON c.name = %(account)s
LEFT JOIN brokers_marketclock clock ON clock.connection_id = c.id
LEFT JOIN brokers_instrument i ON i.symbol = %(symbol)s
{in_force(_NOW)}
"""  # noqa: S608 our own names
