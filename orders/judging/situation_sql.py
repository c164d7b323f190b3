"""What an order is judged against, read in the statement after the locks.

Exposure, margin and open orders are worked out from positions and working orders as they are, so no
count of them can drift: a working order takes its worst price (`reserved_price`) until it ends, its
fill moves to the position in the fill's own transaction. Trades of a day are counted as they are
approved; what a day has made is the market loop's (risk/days.py).
"""

from functools import cache

from orders.lifecycle import OPEN_SQL
from risk.kills import STRICTEST
from risk.limits import DEFAULT_QUOTE_AGE, GREEK_OF, Metric
from risk.locks import APPLIES

#: What needs the whole book to be valued.
OF_THE_BOOK = frozenset(
    {Metric.MAX_GROSS_EXPOSURE, Metric.CONCENTRATION, Metric.MARGIN_CUSHION, *GREEK_OF}
)


@cache
def statement(*, book: bool, greeks: bool, spans: bool) -> str:
    """Return the statement that reads the situation.

    `book`: value what is held; `greeks`: its Greeks too; `spans`: of every account, not only one.
    """
    whose = _EVERY if spans else "AND connection_id = %(connection)s"
    valued = {
        "greeks": _UNIT_GREEKS if greeks else "",
        "of_greeks": ", " + ", ".join(GREEK_OF.values()) if greeks else "",
    }
    return _SITUATION.format(
        fresh=_FRESH if greeks else "",
        own_greeks=_OWN_GREEKS if greeks else "NULL::numeric[]",
        book=_BOOK.format(whose=whose, **valued) if book else "",
        exposures=_EXPOSURES if book else "",
        highest=_GREEK.format(of_two="greatest") if greeks else "",
        lowest=f"CASE {_GREEK.format(of_two='least')} END" if greeks else "NULL::numeric",
    )


#: A limit over all accounts is over those of the live market; a replayed account is by itself.
_EVERY = """AND (connection_id = %(connection)s OR NOT %(replayed)s AND connection_id NOT IN (
        SELECT connection_id FROM brokers_marketclock))"""
_LINES = f"""
        SELECT connection_id, instrument_id, quantity AS q, 0 AS b, 0 AS s,
               NULL::numeric AS reserved
        FROM portfolio_position WHERE quantity <> 0 {{whose}} {{strategy}}
        UNION ALL
        SELECT connection_id, instrument_id, 0,
               CASE WHEN side = 'BUY' THEN o.working_quantity ELSE 0 END,
               CASE WHEN side = 'SELL' THEN o.working_quantity ELSE 0 END, reserved_price
        FROM orders_order o
        WHERE status IN {OPEN_SQL} AND id <> %(except)s {{whose}} {{strategy}}"""  # noqa: S608 our own names
_NET = f"""
    SELECT connection_id, instrument_id, max(reserved) AS reserved,
           sum(q) AS q, sum(b) AS b, sum(s) AS s,
           greatest(abs(sum(q) + sum(b)), abs(sum(q) - sum(s))) AS worst
    FROM ({_LINES}) AS every
    GROUP BY 1, 2"""  # noqa: S608 our own names
#: Each instrument is looked up once, by its id, whatever the planner thinks of how many there are.
_PRICED = """
    SELECT net.connection_id, priced.symbol, priced.underlying, priced.margin_rate, net.worst,
           net.q, net.b, net.s{{of_greeks}},
           net.worst * greatest(priced.mark, net.reserved) * priced.multiplier AS exposure
    FROM {net} AS net
    CROSS JOIN LATERAL (
        SELECT i.symbol, coalesce(nullif(i.underlying, ''), i.symbol) AS underlying,
               i.margin_rate, i.multiplier,
               (SELECT coalesce((quote.bid + quote.ask) / 2, quote.last)
                FROM brokers_quote quote WHERE quote.instrument_id = i.id) AS mark{{greeks}}
        FROM brokers_instrument i
        WHERE i.id = net.instrument_id AND i.currency = %(currency)s
        OFFSET 0) AS priced
    WHERE NOT (net.connection_id = %(connection)s AND net.instrument_id = %(instrument)s)"""
#: Greeks are as old as the oldest quote beneath them, and that is limited like any quote's age.
_FRESH = f"""
fresh AS MATERIALIZED (
    SELECT coalesce(min(l.value), {DEFAULT_QUOTE_AGE}) * interval '1 second' AS age
    FROM risk_risklimit l WHERE l.metric = 'quote_age_seconds' AND {APPLIES}),"""  # noqa: S608 our own names
_IS_FRESH = "g.as_of >= %(now)s::timestamptz - (SELECT age FROM fresh)"
#: An option's as last valued, of everything else the multiplier as delta and nothing else.
_UNIT_GREEK = """,
               CASE WHEN i.kind <> 'OPTION' THEN {else_} ELSE (
                   SELECT g.{name}::numeric FROM portfolio_optiongreeks g
                   WHERE g.instrument_id = i.id AND {fresh}) END AS {name}"""
_UNIT_GREEKS = "".join(
    _UNIT_GREEK.format(name=name, else_="i.multiplier" if name == "delta" else 0, fresh=_IS_FRESH)
    for name in GREEK_OF.values()
)
_BOOK = f"""
net AS MATERIALIZED ({_NET.replace("{strategy}", "")}),
own_net AS MATERIALIZED ({_NET.replace("{strategy}", "AND strategy = %(strategy)s")}),
netted AS MATERIALIZED ({_PRICED.format(net="net")}),
own AS MATERIALIZED ({_PRICED.format(net="own_net")}),
"""
_OF_MARKET = _EVERY.replace("connection_id = %", "o.connection_id = %").replace(
    "AND connection_id NOT", "AND o.connection_id NOT"
)
_IN_SCOPE = """(l.connection_id IS NULL OR n.connection_id = l.connection_id)
            AND l.symbol IN ('', n.symbol) AND l.underlying IN ('', n.underlying)"""
_KNOWN = """CASE WHEN bool_or(n.worst <> 0 AND n.exposure IS NULL) THEN NULL
             ELSE coalesce(sum({}), 0) END"""
_EXPOSURES = f"""
    WHEN l.metric = 'max_gross_exposure' AND l.strategy = '' THEN (
        SELECT {_KNOWN.format("n.exposure")} FROM netted n WHERE {_IN_SCOPE})
    WHEN l.metric = 'max_gross_exposure' THEN (
        SELECT {_KNOWN.format("n.exposure")} FROM own n WHERE {_IN_SCOPE})
    WHEN l.metric = 'concentration' THEN (
        SELECT {_KNOWN.format("n.exposure")} FROM netted n
        WHERE n.connection_id = %(connection)s AND n.underlying = %(underlying)s)
    WHEN l.metric = 'margin_cushion' THEN (
        SELECT {_KNOWN.format("n.exposure * n.margin_rate")} FROM netted n
        WHERE n.connection_id = %(connection)s)
"""  # noqa: S608 our own names
_IS_GREEK = ", ".join(f"'{metric.value}'" for metric in GREEK_OF)
_GREEK_OF_METRIC = " ".join(f"WHEN '{m.value}' THEN n.{name}" for m, name in GREEK_OF.items())
_GREEK = f"""
    WHEN l.metric IN ({_IS_GREEK}) THEN (
        SELECT CASE WHEN bool_or(n.worst <> 0 AND n.unit IS NULL) THEN NULL
               ELSE coalesce(sum({{of_two}}((n.q + n.b) * n.unit, (n.q - n.s) * n.unit)), 0) END
        FROM (SELECT CASE l.metric {_GREEK_OF_METRIC} END AS unit, n.* FROM netted n
              WHERE l.strategy = ''
              UNION ALL
              SELECT CASE l.metric {_GREEK_OF_METRIC} END, n.* FROM own n
              WHERE l.strategy <> '') AS n
        WHERE {_IN_SCOPE})
"""  # noqa: S608 our own names
_KILL = STRICTEST.format(connection="%(connection)s", strategy="%(strategy)s", symbol="%(symbol)s")
#: 0 where nothing has been traded yet in the currency, else unknown.
_UNTRADED = """(SELECT 0 WHERE NOT EXISTS (
        SELECT 1 FROM portfolio_position p JOIN brokers_instrument i ON i.id = p.instrument_id
        WHERE p.connection_id = %(connection)s AND p.folded_at IS NOT NULL
          AND i.currency = %(currency)s
          AND l.strategy IN ('', p.strategy)))"""
_OWN_GREEKS = f"""(
        SELECT ARRAY[{", ".join(f"g.{name}::numeric" for name in GREEK_OF.values())}]
        FROM portfolio_optiongreeks g
        WHERE g.instrument_id = %(instrument)s AND {_IS_FRESH})"""  # noqa: S608 our own names
_SITUATION = f"""
WITH {{fresh}} {{book}}
day AS (
    SELECT strategy, pnl, pnl - base_pnl AS made, peak_pnl - pnl AS fallen, evaluated_at
    FROM risk_dayresult
    WHERE connection_id = %(connection)s AND currency = %(currency)s AND trading_date = %(day)s
      AND strategy IN ('', %(strategy)s) AND unmarked = 0),
applicable AS (
    SELECT l.id, l.version, l.metric, l.value,
           concat_ws(', ', 'account ' || lc.name, nullif('strategy ' || l.strategy, 'strategy '),
                     nullif('symbol ' || l.symbol, 'symbol '),
                     nullif('underlying ' || l.underlying, 'underlying ')) AS scope,
           l.strategy <> '' AS by_strategy,
           CASE
    WHEN l.metric = 'daily_trades' THEN (
        SELECT coalesce(sum(u.used), 0) FROM risk_riskusage u
        WHERE u.connection_id = %(connection)s AND u.trading_date = %(day)s
          AND u.metric = 'daily_trades' AND l.strategy IN ('', u.strategy))
    WHEN l.metric = 'max_open_orders' THEN (
        SELECT count(*) FROM orders_order o JOIN brokers_instrument i ON i.id = o.instrument_id
        WHERE o.status IN {OPEN_SQL} AND o.id <> %(except)s
          AND (l.connection_id IS NULL OR o.connection_id = l.connection_id) {_OF_MARKET}
          AND l.strategy IN ('', o.strategy) AND l.symbol IN ('', i.symbol)
          AND l.underlying IN ('', coalesce(nullif(i.underlying, ''), i.symbol)))
    WHEN l.metric = 'daily_loss' THEN coalesce(day.made, {_UNTRADED})
    WHEN l.metric = 'drawdown' THEN coalesce(day.fallen, {_UNTRADED})
    WHEN l.metric = 'loss_streak' THEN (
        SELECT count(*) FROM (
            SELECT bool_and(pnl < 0) OVER (
                ORDER BY closed_at DESC, sequence DESC, venue_trade_id DESC, id DESC) AS lost
            FROM (SELECT id, pnl, closed_at, sequence, venue_trade_id FROM portfolio_closedtrade
                  WHERE connection_id = %(connection)s AND strategy = %(strategy)s
                  ORDER BY closed_at DESC, sequence DESC, venue_trade_id DESC, id DESC
                  LIMIT greatest(l.value, 1)::int) AS last
            ) AS streak WHERE lost)
    {{exposures}}{{highest}}
           END AS used,
           {{lowest}} AS low,
           CASE WHEN l.metric IN ('daily_loss', 'drawdown') THEN
               coalesce(day.evaluated_at, %(now)s::timestamptz) END AS at
    FROM risk_risklimit l
    LEFT JOIN brokers_brokerconnection lc ON lc.id = l.connection_id
    LEFT JOIN day ON day.strategy = l.strategy
    WHERE {APPLIES}),
held AS (
    SELECT sum(quantity) AS net, sum(quantity) FILTER (WHERE strategy = %(strategy)s) AS own
    FROM portfolio_position
    WHERE connection_id = %(connection)s AND instrument_id = %(instrument)s),
working AS (
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
            AND status IN {OPEN_SQL} AND id <> %(except)s) AS o)
SELECT s.body_hash, s.answer_status, s.answer, so.id,
       control.mode, control.live_trading_enabled, control.installation,
       {_KILL},
       (SELECT json_agg(b.kind || ': ' || CASE
                WHEN b.state <> 'ARMED' THEN b.state || ' ' || b.detail
                ELSE 'not evaluated lately' END ORDER BY b.id)
        FROM risk_breaker b
        WHERE b.is_enabled AND (b.connection_id IS NULL OR b.connection_id = %(connection)s)
          AND b.strategy IN ('', %(strategy)s)
          AND (b.state <> 'ARMED' OR b.evaluated_at IS NULL
               OR b.evaluated_at < %(wall)s::timestamptz - interval '10 seconds')),
       q.bid, q.ask, q.bid_size, q.ask_size, q.last, coalesce(q.has_book, false), q.as_of,
       (SELECT json_agg(json_build_array(id, version, metric, value::text, scope, by_strategy,
                                         used::text, low::text, at) ORDER BY id) FROM applicable),
       (SELECT json_agg(symbols) FROM (
            SELECT json_agg(symbol) AS symbols FROM risk_symbolrule
            WHERE rule = 'ALLOW' AND (connection_id IS NULL OR connection_id = %(connection)s)
            GROUP BY connection_id) AS lists),
       (SELECT json_agg(symbol) FROM risk_symbolrule
            WHERE rule = 'DENY' AND (connection_id IS NULL OR connection_id = %(connection)s)),
       {{own_greeks}},
       coalesce(held.net, 0), coalesce(held.own, 0),
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
          AND o.status NOT IN ('REJECTED', 'FAILED')) END,
       coalesce((SELECT pnl FROM day WHERE strategy = ''),
                {_UNTRADED.replace("l.strategy", "''")})
FROM risk_systemcontrol AS control
CROSS JOIN held CROSS JOIN working
LEFT JOIN orders_signal s ON s.client_id = %(client)s AND s.strategy = %(strategy)s
                         AND s.signal_id = %(key)s
LEFT JOIN orders_order so ON so.signal_id = s.id
LEFT JOIN brokers_quote q ON q.instrument_id = %(instrument)s
WHERE control.id = 1
"""  # noqa: S608 our own names
