"""What each account, and each strategy in it, has made on its trading day: kept by the market loop.

The gate and the breakers judge daily loss and drawdown by these rows; one that is old says nothing.
"""

from datetime import date, datetime
from decimal import Decimal

from django.db import models

from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection
from execution_site.floor import statements
from execution_site.floor.columns import TOTAL


class DayResult(models.Model):
    """The trading day of an account (empty strategy) or of a strategy in it, in one currency.

    Amounts are since the account began, net of commission: `base_pnl` when the day rolled,
    `pnl` now, `peak_pnl` the highest of the day. `unmarked` positions have no price: `pnl` lacks
    them. `quote_number` grows with every quote of what is held.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE)
    strategy = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=8)
    trading_date = models.DateField()
    base_pnl = models.DecimalField(**TOTAL)
    pnl = models.DecimalField(**TOTAL)
    peak_pnl = models.DecimalField(**TOTAL)
    unmarked = models.IntegerField(default=0)
    quoted_at = models.DateTimeField(null=True)
    quote_number = models.BigIntegerField(default=0)
    evaluated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="day_result_once", fields=["connection", "strategy", "currency"]
            )
        ]

    def __str__(self) -> str:
        made = decimal_text(self.day_pnl)
        return f"{self.connection_id} {self.strategy} {self.trading_date}: {made}"

    @property
    def day_pnl(self) -> Decimal:
        """Return what the day has made, net of commission."""
        return self.pnl - self.base_pnl

    @property
    def below_peak(self) -> Decimal:
        """Return how far the day's PnL has fallen from its highest."""
        return self.peak_pnl - self.pnl


def evaluate(*, connection_id: int, now: datetime, trading_date: date) -> None:
    """Work out an account's day, and its strategies', at their marks; a new day begins anew.

    A day begins with the PnL at its roll, 0 where nothing had been traded: of what was held then
    (`Position.opening`, which a fill that arrives late moves too), at the last mark before. Where
    no mark from before is known, it begins where the day before was last seen, else at cost.
    """
    params = {"connection": connection_id, "now": now, "day": trading_date}
    statements.run(_EVALUATE, params)


#: What a position was at the roll: what it is, unless it has traded since. NULL in the moment when
#: it has traded on a later day already.
_OPENING = """
        SELECT CASE WHEN p.folded_date = %(day)s THEN p.opening_quantity ELSE p.quantity END
                   AS quantity,
               CASE WHEN p.folded_date = %(day)s THEN p.opening_cost ELSE p.cost END AS cost,
               CASE WHEN p.folded_date = %(day)s THEN p.opening_realized_pnl - p.opening_commission
                    ELSE p.realized_pnl - p.commission END AS made
        WHERE p.folded_date IS NULL OR p.folded_date <= %(day)s"""
#: The last mark before the roll: the quote's, where there has been none since, else its last bar's.
_MARK_BEFORE = """
        SELECT coalesce(CASE WHEN q.as_of < rolled.at THEN m.mark END,
                        (SELECT b.close FROM brokers_bar b
                         WHERE b.instrument_id = p.instrument_id AND b.at < rolled.at
                         ORDER BY b.at DESC LIMIT 1)) AS mark
        WHERE opening.quantity <> 0"""
_EVALUATE = f"""
WITH rolled AS (
    SELECT (%(day)s::date - (day_roll_time <> '00:00')::int + day_roll_time)
               AT TIME ZONE day_roll_zone AS at
    FROM brokers_brokerconnection WHERE id = %(connection)s),
lines AS (
    SELECT p.strategy, i.currency,
           p.realized_pnl - p.commission
               + coalesce((p.quantity * m.mark - p.cost) * i.multiplier, 0) AS pnl,
           (p.quantity <> 0 AND m.mark IS NULL)::int AS unmarked,
           CASE WHEN p.quantity <> 0 THEN q.as_of END AS quoted_at,
           CASE WHEN p.quantity <> 0 THEN q.number ELSE 0 END AS number,
           opening.made + CASE WHEN opening.quantity = 0 THEN 0
               ELSE (opening.quantity * before.mark - opening.cost) * i.multiplier END AS base,
           opening.made AS at_cost
    FROM rolled
    JOIN portfolio_position p ON p.connection_id = %(connection)s
    JOIN brokers_instrument i ON i.id = p.instrument_id
    LEFT JOIN brokers_quote q ON q.instrument_id = p.instrument_id
    LEFT JOIN LATERAL (SELECT coalesce((q.bid + q.ask) / 2, q.last) AS mark) AS m ON true
    LEFT JOIN LATERAL ({_OPENING}) AS opening ON true
    LEFT JOIN LATERAL ({_MARK_BEFORE}) AS before ON true),
results AS (
    SELECT coalesce(strategy, '') AS strategy, currency, sum(pnl) AS pnl,
           sum(unmarked) AS unmarked, min(quoted_at) AS quoted_at,
           coalesce(sum(number), 0) AS number,
           CASE WHEN bool_and(base IS NOT NULL) THEN sum(base) END AS base,
           coalesce(sum(at_cost), 0) AS at_cost
    FROM lines GROUP BY GROUPING SETS ((currency), (strategy, currency)))
INSERT INTO risk_dayresult AS held (connection_id, strategy, currency, trading_date, base_pnl, pnl,
    peak_pnl, unmarked, quoted_at, quote_number, evaluated_at)
SELECT %(connection)s, r.strategy, r.currency, %(day)s, base.pnl, r.pnl,
       greatest(r.pnl, base.pnl), r.unmarked, r.quoted_at, r.number, %(now)s
FROM results r
LEFT JOIN risk_dayresult seen ON seen.connection_id = %(connection)s
    AND seen.strategy = r.strategy AND seen.currency = r.currency
CROSS JOIN LATERAL (
    SELECT coalesce(r.base,
                    CASE WHEN seen.trading_date = %(day)s THEN seen.base_pnl
                         WHEN seen.trading_date < %(day)s AND seen.unmarked = 0 THEN seen.pnl END,
                    r.at_cost) AS pnl) AS base
ON CONFLICT (connection_id, strategy, currency) DO UPDATE SET
    trading_date = excluded.trading_date,
    base_pnl = excluded.base_pnl,
    pnl = excluded.pnl,
    peak_pnl = CASE WHEN held.trading_date = excluded.trading_date
                    THEN greatest(held.peak_pnl + excluded.base_pnl - held.base_pnl, excluded.pnl)
                    ELSE excluded.peak_pnl END,
    unmarked = excluded.unmarked, quoted_at = excluded.quoted_at,
    quote_number = excluded.quote_number, evaluated_at = excluded.evaluated_at
"""  # noqa: S608 our own names
