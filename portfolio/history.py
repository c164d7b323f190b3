"""What an account made and held, minute by minute of its market's time."""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from decimal import Decimal

from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery

from brokers.models import BrokerConnection
from execution_site.floor import statements
from execution_site.floor.columns import TOTAL


class PnlPoint(models.Model):
    """An account in one currency at the end of a minute. Amounts are since the account began.

    `gross_exposure` is the sum of |quantity| x mark x multiplier, `net_exposure` the signed one.
    Positions without a mark are left out, and counted in `unmarked`.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE)
    currency = models.CharField(max_length=8)
    at = models.DateTimeField()
    trading_date = models.DateField()
    realized_pnl = models.DecimalField(**TOTAL)
    unrealized_pnl = models.DecimalField(**TOTAL)
    commission = models.DecimalField(**TOTAL)
    gross_exposure = models.DecimalField(**TOTAL)
    net_exposure = models.DecimalField(**TOTAL)
    unmarked = models.IntegerField()

    class Meta:
        verbose_name = "PnL point"
        constraints = [
            models.UniqueConstraint(name="pnl_point_once", fields=["connection", "currency", "at"])
        ]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.currency} {self.at:%Y-%m-%d %H:%M}"

    @property
    def total_pnl(self) -> Decimal:
        """Return the PnL net of commission."""
        return self.realized_pnl + self.unrealized_pnl - self.commission


def sample(*, connection_id: int, now: datetime, trading_date: date) -> None:
    """Store the account as it is now, as its market's minute; the minute's last sample stays."""
    minute = now.replace(second=0, microsecond=0)
    statements.run(_SAMPLE, {"connection": connection_id, "at": minute, "day": trading_date})


def prune(*, connection_id: int, before: date) -> None:
    """Forget the minutes of trading days before `before`, but for each day's last."""
    statements.run(_PRUNE, {"connection": connection_id, "before": before})


def of_day(accounts: Collection[str], *, day: date | None = None) -> QuerySet[PnlPoint]:
    """Return the points of a trading day, of each account's latest without `day`, oldest first."""
    points = PnlPoint.objects.filter(connection__name__in=accounts)
    if day is None:
        own = PnlPoint.objects.filter(connection=OuterRef("connection")).order_by("-trading_date")
        points = points.filter(trading_date=Subquery(own.values("trading_date")[:1]))
    else:
        points = points.filter(trading_date=day)
    return points.select_related("connection").order_by("at")


def base_of(account: str, currency: str, *, before: date) -> Decimal:
    """Return the PnL at the end of the trading day before, 0 where there was none."""
    earlier = PnlPoint.objects.filter(
        connection__name=account, currency=currency, trading_date__lt=before
    )
    last = earlier.order_by("-at").first()
    return Decimal(0) if last is None else last.total_pnl


def by_day(accounts: Collection[str]) -> Iterator[tuple[PnlPoint, PnlPoint | None]]:
    """Yield the last point of each trading day with that of the day before, oldest first."""
    ends = (
        PnlPoint.objects.filter(connection__name__in=accounts)
        .select_related("connection")
        .order_by("connection__name", "currency", "trading_date", "-at")
        .distinct("connection__name", "currency", "trading_date")
    )
    before: PnlPoint | None = None
    for point in ends:
        same = before is not None and (before.connection_id, before.currency) == (
            point.connection_id,
            point.currency,
        )
        yield point, before if same else None
        before = point


_PRUNE = """
DELETE FROM portfolio_pnlpoint p
WHERE p.connection_id = %(connection)s AND p.trading_date < %(before)s
  AND EXISTS (SELECT 1 FROM portfolio_pnlpoint later
              WHERE later.connection_id = p.connection_id AND later.currency = p.currency
                AND later.trading_date = p.trading_date AND later.at > p.at)
"""
_SAMPLE = """
INSERT INTO portfolio_pnlpoint AS held (connection_id, currency, at, trading_date, realized_pnl,
    unrealized_pnl, commission, gross_exposure, net_exposure, unmarked)
SELECT p.connection_id, i.currency, %(at)s, %(day)s,
       sum(p.realized_pnl),
       coalesce(sum((p.quantity * m.mark - p.cost) * i.multiplier), 0), sum(p.commission),
       coalesce(sum(abs(p.quantity) * m.mark * i.multiplier), 0),
       coalesce(sum(p.quantity * m.mark * i.multiplier), 0),
       count(*) FILTER (WHERE p.quantity <> 0 AND m.mark IS NULL)
FROM portfolio_position p
JOIN brokers_instrument i ON i.id = p.instrument_id
LEFT JOIN brokers_quote q ON q.instrument_id = p.instrument_id
LEFT JOIN LATERAL (SELECT coalesce((q.bid + q.ask) / 2, q.last) AS mark) AS m ON true
WHERE p.connection_id = %(connection)s AND p.folded_at IS NOT NULL
GROUP BY p.connection_id, i.currency
ON CONFLICT (connection_id, currency, at) DO UPDATE
    SET trading_date = excluded.trading_date, realized_pnl = excluded.realized_pnl,
        unrealized_pnl = excluded.unrealized_pnl, commission = excluded.commission,
        gross_exposure = excluded.gross_exposure, net_exposure = excluded.net_exposure,
        unmarked = excluded.unmarked
"""
