"""Counts over time: trades of a day. Written where an order is approved, or proved never to be."""

from datetime import date

from execution_site.floor import statements
from risk.limits import Metric


def count_trade(connection_id: int, strategy: str, day: date, *, by: int) -> None:
    """Add to the day's trades of a strategy, or take away one that was proved absent."""
    statements.run(
        COUNT,
        {
            "connection_id": connection_id,
            "strategy": strategy,
            "metric": Metric.DAILY_TRADES.value,
            "trading_date": day,
            "by": by,
        },
    )


#: Counts trades; a part of larger statements.
COUNT = """INSERT INTO risk_riskusage AS counted
        (connection_id, strategy, metric, trading_date, used)
    VALUES (%(connection_id)s, %(strategy)s, %(metric)s, %(trading_date)s, greatest(%(by)s, 0))
    ON CONFLICT (connection_id, strategy, metric, trading_date)
    DO UPDATE SET used = greatest(counted.used + %(by)s, 0)"""
