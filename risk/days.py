"""What each account, and each strategy in it, has made on its trading day: kept by the market loop.

The gate and the breakers judge daily loss and drawdown by these rows; one that is old says nothing.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import models

from brokers.instruments import decimal_text
from brokers.models import BrokerConnection
from execution_site import statements

MONEY: dict[str, Any] = {"max_digits": 38, "decimal_places": 10}


class DayResult(models.Model):
    """The trading day of an account (empty strategy) or of a strategy in it, in one currency.

    Amounts are since the account began, net of commission: `base_pnl` when the day began,
    `pnl` now, `peak_pnl` the highest of the day. `unmarked` positions have no price: `pnl` lacks
    them. `quote_number` grows with every quote of what is held.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE)
    strategy = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=8)
    trading_date = models.DateField()
    base_pnl = models.DecimalField(**MONEY)
    pnl = models.DecimalField(**MONEY)
    peak_pnl = models.DecimalField(**MONEY)
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

    An account's day begins at the last point of an earlier day (portfolio/history.py), as its page
    says; a strategy's where it stood when the day was first seen.
    """
    params = {"connection": connection_id, "now": now, "day": trading_date}
    statements.run(_EVALUATE, params)


_EVALUATE = """
WITH lines AS (
    SELECT p.strategy, i.currency,
           p.realized_pnl - p.commission
               + coalesce((p.quantity * m.mark - p.cost) * i.multiplier, 0) AS pnl,
           (p.quantity <> 0 AND m.mark IS NULL)::int AS unmarked,
           CASE WHEN p.quantity <> 0 THEN q.as_of END AS quoted_at,
           CASE WHEN p.quantity <> 0 THEN q.number ELSE 0 END AS number
    FROM portfolio_position p
    JOIN brokers_instrument i ON i.id = p.instrument_id
    LEFT JOIN brokers_quote q ON q.instrument_id = p.instrument_id
    LEFT JOIN LATERAL (SELECT coalesce((q.bid + q.ask) / 2, q.last) AS mark) AS m ON true
    WHERE p.connection_id = %(connection)s),
results AS (
    SELECT coalesce(strategy, '') AS strategy, currency, sum(pnl) AS pnl,
           sum(unmarked) AS unmarked, min(quoted_at) AS quoted_at,
           coalesce(sum(number), 0) AS number
    FROM lines GROUP BY GROUPING SETS ((currency), (strategy, currency))),
bases AS (
    SELECT DISTINCT ON (currency) currency, realized_pnl + unrealized_pnl - commission AS pnl
    FROM portfolio_pnlpoint
    WHERE connection_id = %(connection)s AND trading_date < %(day)s
    ORDER BY currency, at DESC)
INSERT INTO risk_dayresult AS held (connection_id, strategy, currency, trading_date, base_pnl, pnl,
    peak_pnl, unmarked, quoted_at, quote_number, evaluated_at)
SELECT %(connection)s, r.strategy, r.currency, %(day)s, base.pnl, r.pnl,
       greatest(r.pnl, base.pnl), r.unmarked, r.quoted_at, r.number, %(now)s
FROM results r
LEFT JOIN bases b ON b.currency = r.currency
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.strategy = '' THEN coalesce(b.pnl, 0) ELSE r.pnl END AS pnl) AS base
ON CONFLICT (connection_id, strategy, currency) DO UPDATE SET
    trading_date = excluded.trading_date,
    base_pnl = CASE WHEN held.trading_date = excluded.trading_date THEN held.base_pnl
                    ELSE excluded.base_pnl END,
    pnl = excluded.pnl,
    peak_pnl = CASE WHEN held.trading_date = excluded.trading_date
                    THEN greatest(held.peak_pnl, excluded.pnl) ELSE excluded.peak_pnl END,
    unmarked = excluded.unmarked, quoted_at = excluded.quoted_at,
    quote_number = excluded.quote_number, evaluated_at = excluded.evaluated_at
"""
