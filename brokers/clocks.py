"""Market time: the wall's, or where an account's market is replayed, the time of its last quote."""

from datetime import datetime

from django.db.models import F
from django.utils import timezone

from brokers.models import BrokerConnection, MarketClock


def market_now(account: str, *, using: str = "default") -> datetime:
    """Return an account's market time. Rules that mean the market's time take it from here."""
    replayed = MarketClock.objects.using(using).filter(connection__name=account)
    return replayed.values_list("now", flat=True).first() or timezone.now()


def replayed(*, using: str = "default") -> dict[str, datetime]:
    """Return the market time of every account that does not follow the wall's clock."""
    clocks = MarketClock.objects.using(using).values_list(F("connection__name"), "now")
    return dict(clocks)


def set_clock(connection: BrokerConnection, now: datetime) -> None:
    """Put an account on a replayed clock, or move it on. It never goes back."""
    moved = MarketClock.objects.filter(connection=connection)
    if not moved.update(now=now):
        MarketClock.objects.create(connection=connection, now=now)
