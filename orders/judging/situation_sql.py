"""What an order is judged against, read in the statement after the locks.

Exposure, margin and open orders are worked out from positions and working orders as they are, so no
count of them can drift: a working order takes its worst price (`reserved_price`) until it ends, its
fill moves to the position in the fill's own transaction. Trades of a day are counted as they are
approved; what a day has made is the market loop's (risk/days.py).

Each column has the name of its field in `Situation`; a limit's are those of `Limit`. The views
(`orders_line`, `risk_scopedlimit`, `brokers_pricedinstrument`, `portfolio_unitgreek`) are made in
migrations. A new fact is a column here, a field there, and a check that asks it.
"""

from functools import cache

from orders.lifecycle import OPEN_SQL
from risk.kills import STRICTEST
from risk.limit_rows import APPLIES
from risk.limits import DEFAULT_QUOTE_AGE, GREEK_OF, Metric

#: What needs the whole book to be valued.
OF_THE_BOOK = frozenset(
    {Metric.MAX_GROSS_EXPOSURE, Metric.CONCENTRATION, Metric.MARGIN_CUSHION, *GREEK_OF}
)
GREEKS = tuple(GREEK_OF.values())


@cache
def statement(*, book: bool, greeks: bool, spans: bool) -> str:
    """Return the statement that reads the situation.

    `book`: value what is held; `greeks`: its Greeks too; `spans`: of every account, not only one.
    """
    parts = [_FRESH] if greeks else []
    if book:
        parts += _book(greeks=greeks, spans=spans)
    parts += [_DAY, _applicable(book=book, greeks=greeks), _HELD, _WORKING]
    return f"WITH {', '.join(parts)} {_situation(greeks=greeks)}"


def _book(*, greeks: bool, spans: bool) -> list[str]:
    """Return what is held and works elsewhere, valued: of the accounts, and of the strategy."""
    whose = _every("n.connection_id") if spans else "n.connection_id = %(connection)s"
    own = f"{whose} AND n.strategy = %(strategy)s"
    return [
        f"net AS MATERIALIZED ({_net(whose)})",
        f"own_net AS MATERIALIZED ({_net(own)})",
        f"netted AS MATERIALIZED ({_priced('net', greeks=greeks)})",
        f"own AS MATERIALIZED ({_priced('own_net', greeks=greeks)})",
    ]


def _every(column: str) -> str:
    """A limit over all accounts is over those of the live market; a replayed one is by itself."""
    return f"""({column} = %(connection)s OR NOT %(replayed)s AND {column} NOT IN (
        SELECT connection_id FROM brokers_marketclock))"""  # noqa: S608 our own names


def _net(whose: str) -> str:
    """Each instrument's position and working orders: `q` held, `b` and `s` may be added."""
    return f"""
    SELECT n.connection_id, n.instrument_id, max(n.reserved_price) AS reserved,
           sum(n.held) AS q, sum(n.buys) AS b, sum(n.sells) AS s,
           greatest(abs(sum(n.held) + sum(n.buys)), abs(sum(n.held) - sum(n.sells))) AS worst
    FROM orders_line n
    WHERE n.order_id IS DISTINCT FROM %(except)s AND {whose}
    GROUP BY 1, 2"""  # noqa: S608 our own names


def _priced(net: str, *, greeks: bool) -> str:
    """The same, but for the order's own instrument, with its worst exposure and unit Greeks.

    Each instrument is looked up once, by its id, whatever the planner thinks of how many there are.
    """
    columns = "".join(f", unit.{name}" for name in GREEKS) if greeks else ""
    unit = f"""
    LEFT JOIN LATERAL (
        SELECT * FROM portfolio_unitgreek g
        WHERE g.instrument_id = n.instrument_id AND {_IS_FRESH} OFFSET 0) AS unit ON true"""  # noqa: S608 our own names
    return f"""
    SELECT n.connection_id, i.symbol, i.underlying, i.margin_rate, n.worst, n.q, n.b, n.s{columns},
           n.worst * greatest(i.mark, n.reserved) * i.multiplier AS exposure
    FROM {net} AS n
    CROSS JOIN LATERAL (
        SELECT * FROM brokers_pricedinstrument p
        WHERE p.instrument_id = n.instrument_id AND p.currency = %(currency)s OFFSET 0) AS i
    {unit if greeks else ""}
    WHERE NOT (n.connection_id = %(connection)s AND n.instrument_id = %(instrument)s)"""  # noqa: S608 our own names


def _applicable(*, book: bool, greeks: bool) -> str:
    """The limits that apply, each with what it bounds is used of it: the shape of `Limit`."""
    used = f"{_COUNTS} {_EXPOSURES if book else ''} {_greek('greatest') if greeks else ''}"
    low = f"CASE {_greek('least')} END" if greeks else "NULL::numeric"
    return f"""applicable AS (
    SELECT l.id, l.version, l.metric, l.value, l.scope, l.by_strategy,
           CASE {used} END AS used,
           {low} AS low,
           CASE WHEN l.metric IN ('daily_loss', 'drawdown') THEN
               coalesce(day.evaluated_at, %(now)s::timestamptz) END AS at
    FROM risk_scopedlimit l
    LEFT JOIN day ON day.strategy = l.strategy
    WHERE {APPLIES})"""  # noqa: S608 our own names


def _greek(of_two: str) -> str:
    """The most, or the least, that can come of a Greek with what works: a part of a CASE."""
    metrics = ", ".join(f"'{metric.value}'" for metric in GREEK_OF)
    unit = " ".join(f"WHEN '{m.value}' THEN n.{name}" for m, name in GREEK_OF.items())
    return f"""
    WHEN l.metric IN ({metrics}) THEN (
        SELECT CASE WHEN bool_or(n.worst <> 0 AND n.unit IS NULL) THEN NULL
               ELSE coalesce(sum({of_two}((n.q + n.b) * n.unit, (n.q - n.s) * n.unit)), 0) END
        FROM (SELECT CASE l.metric {unit} END AS unit, n.* FROM netted n WHERE l.strategy = ''
              UNION ALL
              SELECT CASE l.metric {unit} END, n.* FROM own n WHERE l.strategy <> '') AS n
        WHERE {_IN_SCOPE})"""  # noqa: S608 our own names


def _known(what: str) -> str:
    """A sum over the book, unknown where something in it has no price."""
    return f"""CASE WHEN bool_or(n.worst <> 0 AND n.exposure IS NULL) THEN NULL
             ELSE coalesce(sum({what}), 0) END"""


def _untraded(strategy: str) -> str:
    """0 where nothing has been traded yet in the currency, else unknown."""
    return f"""(SELECT 0 WHERE NOT EXISTS (
        SELECT 1 FROM portfolio_position p JOIN brokers_instrument i ON i.id = p.instrument_id
        WHERE p.connection_id = %(connection)s AND p.folded_at IS NOT NULL
          AND i.currency = %(currency)s AND {strategy} IN ('', p.strategy)))"""  # noqa: S608 our own names


def _situation(*, greeks: bool) -> str:
    """The one row: a column for each field of `Situation`."""
    unit_greeks = _UNIT_GREEKS if greeks else "NULL::numeric[]"
    return f"""
SELECT s.body_hash AS stored_hash, s.answer_status AS stored_status, s.answer AS stored_answer,
       so.id AS stored_order,
       control.mode, control.live_trading_enabled, control.installation,
       {_KILL} AS kill,
       (SELECT json_agg(b.kind || ': ' || CASE
                WHEN b.state <> 'ARMED' THEN b.state || ' ' || b.detail
                ELSE 'not evaluated lately' END ORDER BY b.id)
        FROM risk_breaker b
        WHERE b.is_enabled AND (b.connection_id IS NULL OR b.connection_id = %(connection)s)
          AND b.strategy IN ('', %(strategy)s)
          AND (b.state <> 'ARMED' OR b.evaluated_at IS NULL
               OR b.evaluated_at < %(wall)s::timestamptz - interval '10 seconds')) AS breakers,
       q.bid, q.ask, q.bid_size, q.ask_size, q.last, coalesce(q.has_book, false) AS has_book,
       q.as_of AS quoted_at,
       (SELECT json_agg(shown ORDER BY id) FROM (
            SELECT id, version, metric, value::text, scope, by_strategy, used::text, low::text, at
            FROM applicable) AS shown) AS limits,
       (SELECT json_agg(symbols) FROM (
            SELECT json_agg(symbol) AS symbols FROM risk_symbolrule
            WHERE rule = 'ALLOW' AND (connection_id IS NULL OR connection_id = %(connection)s)
            GROUP BY connection_id) AS lists) AS allowed,
       (SELECT json_agg(symbol) FROM risk_symbolrule
            WHERE rule = 'DENY' AND (connection_id IS NULL OR connection_id = %(connection)s))
            AS denied,
       {unit_greeks} AS greeks,
       held.net, held.own_net,
       working.buys, working.sells, working.own_buys, working.own_sells,
       working.closing_buys, working.closing_sells, working.best_buy, working.best_sell,
       CASE WHEN EXISTS (SELECT 1 FROM applicable WHERE metric = 'duplicate_window') THEN
           (SELECT max(o.created_at) FROM orders_order o
        WHERE o.connection_id = %(connection)s AND o.instrument_id = %(instrument)s
          AND o.created_at > %(wall)s::timestamptz
              - (SELECT max(value) FROM applicable WHERE metric = 'duplicate_window')
                * interval '1 second'
          AND o.side = %(side)s AND o.quantity = %(quantity)s AND o.id <> %(except)s
          AND o.limit_price IS NOT DISTINCT FROM %(limit_price)s
          AND o.stop_price IS NOT DISTINCT FROM %(stop_price)s
          AND o.status NOT IN ('REJECTED', 'FAILED')) END AS same_at,
       coalesce((SELECT pnl FROM day WHERE strategy = ''), {_untraded("''")}) AS account_pnl
FROM risk_systemcontrol AS control
CROSS JOIN held CROSS JOIN working
LEFT JOIN orders_signal s ON s.client_id = %(client)s AND s.strategy = %(strategy)s
                         AND s.signal_id = %(key)s
LEFT JOIN orders_order so ON so.signal_id = s.id
LEFT JOIN brokers_quote q ON q.instrument_id = %(instrument)s
WHERE control.id = 1
"""  # noqa: S608 our own names


#: Greeks are as old as the oldest quote beneath them, and that is limited like any quote's age.
_FRESH = f"""fresh AS MATERIALIZED (
    SELECT coalesce(min(l.value), {DEFAULT_QUOTE_AGE}) * interval '1 second' AS age
    FROM risk_risklimit l WHERE l.metric = 'quote_age_seconds' AND {APPLIES})"""  # noqa: S608 our own names
_IS_FRESH = "g.as_of >= %(now)s::timestamptz - (SELECT age FROM fresh)"
_UNIT_GREEKS = f"""(
        SELECT ARRAY[{", ".join(f"g.{name}::numeric" for name in GREEKS)}]
        FROM portfolio_optiongreeks g
        WHERE g.instrument_id = %(instrument)s AND {_IS_FRESH})"""  # noqa: S608 our own names
_IN_SCOPE = """(l.connection_id IS NULL OR n.connection_id = l.connection_id)
            AND l.symbol IN ('', n.symbol) AND l.underlying IN ('', n.underlying)"""
_DAY = """day AS (
    SELECT strategy, pnl, pnl - base_pnl AS made, peak_pnl - pnl AS fallen, evaluated_at
    FROM risk_dayresult
    WHERE connection_id = %(connection)s AND currency = %(currency)s AND trading_date = %(day)s
      AND strategy IN ('', %(strategy)s) AND unmarked = 0)"""
_COUNTS = f"""
    WHEN l.metric = 'daily_trades' THEN (
        SELECT coalesce(sum(u.used), 0) FROM risk_riskusage u
        WHERE u.connection_id = %(connection)s AND u.trading_date = %(day)s
          AND u.metric = 'daily_trades' AND l.strategy IN ('', u.strategy))
    WHEN l.metric = 'max_open_orders' THEN (
        SELECT count(*) FROM orders_order o JOIN brokers_instrument i ON i.id = o.instrument_id
        WHERE o.status IN {OPEN_SQL} AND o.id <> %(except)s
          AND (l.connection_id IS NULL OR o.connection_id = l.connection_id)
          AND {_every("o.connection_id")}
          AND l.strategy IN ('', o.strategy) AND l.symbol IN ('', i.symbol)
          AND l.underlying IN ('', coalesce(nullif(i.underlying, ''), i.symbol)))
    WHEN l.metric = 'daily_loss' THEN coalesce(day.made, {_untraded("l.strategy")})
    WHEN l.metric = 'drawdown' THEN coalesce(day.fallen, {_untraded("l.strategy")})
    WHEN l.metric = 'loss_streak' THEN (
        SELECT count(*) FROM (
            SELECT bool_and(pnl < 0) OVER (
                ORDER BY closed_at DESC, sequence DESC, venue_trade_id DESC, id DESC) AS lost
            FROM (SELECT id, pnl, closed_at, sequence, venue_trade_id FROM portfolio_closedtrade
                  WHERE connection_id = %(connection)s AND strategy = %(strategy)s
                  ORDER BY closed_at DESC, sequence DESC, venue_trade_id DESC, id DESC
                  LIMIT greatest(l.value, 1)::int) AS last
            ) AS streak WHERE lost)"""  # noqa: S608 our own names
_EXPOSURES = f"""
    WHEN l.metric = 'max_gross_exposure' AND l.strategy = '' THEN (
        SELECT {_known("n.exposure")} FROM netted n WHERE {_IN_SCOPE})
    WHEN l.metric = 'max_gross_exposure' THEN (
        SELECT {_known("n.exposure")} FROM own n WHERE {_IN_SCOPE})
    WHEN l.metric = 'concentration' THEN (
        SELECT {_known("n.exposure")} FROM netted n
        WHERE n.connection_id = %(connection)s AND n.underlying = %(underlying)s)
    WHEN l.metric = 'margin_cushion' THEN (
        SELECT {_known("n.exposure * n.margin_rate")} FROM netted n
        WHERE n.connection_id = %(connection)s)"""  # noqa: S608 our own names
_HELD = """held AS (
    SELECT coalesce(sum(quantity), 0) AS net,
           coalesce(sum(quantity) FILTER (WHERE strategy = %(strategy)s), 0) AS own_net
    FROM portfolio_position
    WHERE connection_id = %(connection)s AND instrument_id = %(instrument)s)"""
_WORKING = f"""working AS (
    SELECT coalesce(sum(working_quantity) FILTER (WHERE side = 'BUY'), 0) AS buys,
           coalesce(sum(working_quantity) FILTER (WHERE side = 'SELL'), 0) AS sells,
           coalesce(sum(working_quantity) FILTER (WHERE side = 'BUY' AND mine), 0) AS own_buys,
           coalesce(sum(working_quantity) FILTER (WHERE side = 'SELL' AND mine), 0) AS own_sells,
           coalesce(sum(working_quantity) FILTER (WHERE side = 'BUY' AND mine AND reduce_only), 0)
               AS closing_buys,
           coalesce(sum(working_quantity) FILTER (WHERE side = 'SELL' AND mine AND reduce_only), 0)
               AS closing_sells,
           max(limit_price) FILTER (WHERE side = 'BUY') AS best_buy,
           min(limit_price) FILTER (WHERE side = 'SELL') AS best_sell
    FROM (SELECT *, strategy = %(strategy)s AS mine FROM orders_order
          WHERE connection_id = %(connection)s AND instrument_id = %(instrument)s
            AND status IN {OPEN_SQL} AND id <> %(except)s) AS o)"""  # noqa: S608 our own names
_KILL = STRICTEST.format(connection="%(connection)s", strategy="%(strategy)s", symbol="%(symbol)s")
