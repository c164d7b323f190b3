"""Connections to venues, and the clocks of accounts whose market is replayed."""

from datetime import date, datetime, time
from typing import Self

from django.db import models
from django.db.models import Q

from brokers import credentials
from brokers.calendars import trading_days
from execution_site.floor.columns import MONEY


class Broker(models.TextChoices):
    """The venues there is an adapter for."""

    PAPER = "paper"


class Environment(models.TextChoices):
    """Whether real money is at stake."""

    PAPER = "paper"
    PRACTICE = "practice"
    LIVE = "live"


class ConnectionQuerySet(models.QuerySet["BrokerConnection"]):
    """Questions about many connections."""

    def enabled(self) -> Self:
        """Connections we may trade through."""
        return self.filter(is_enabled=True)


class BrokerConnection(models.Model):
    """An account at a venue. Its name is what clients call `account`.

    `capital` is the money behind it, before what it makes; margin and concentration are judged by
    it. `clock_offset` is our clock less the venue's, in seconds, as last compared. While `dry_run`
    is set nothing is sent: every stage runs, and what would have been sent is kept.
    """

    name = models.SlugField(max_length=64, unique=True)
    broker = models.CharField(max_length=32, choices=Broker)
    environment = models.CharField(max_length=16, choices=Environment)
    base_url = models.URLField(blank=True)
    stream_url = models.CharField(max_length=200, blank=True)
    credentials_sealed = models.BinaryField(blank=True, default=b"", editable=False)
    is_enabled = models.BooleanField(default=True)
    dry_run = models.BooleanField(default=False)
    settings = models.JSONField(default=dict, blank=True)
    day_roll_time = models.TimeField(default=time.min)
    day_roll_zone = models.CharField(max_length=64, default="UTC")
    capital = models.DecimalField(null=True, blank=True, **MONEY)
    is_reconciling = models.BooleanField(default=False)
    clock_offset = models.DecimalField(null=True, blank=True, max_digits=12, decimal_places=6)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="paper_broker_is_paper_environment",
                condition=~Q(broker="paper") | Q(environment="paper"),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def trading_date(self, now: datetime) -> date:
        """Return this account's trading day at `now`."""
        return trading_days.trading_date(now, roll=self.day_roll_time, zone=self.day_roll_zone)

    def read_credentials(self) -> dict[str, str]:
        """Return the credentials in clear, for an adapter alone."""
        if not self.credentials_sealed:
            return {}
        return credentials.unseal(bytes(self.credentials_sealed), row_id=self.pk)


class MarketClock(models.Model):
    """The market time of an account whose market is replayed; without a row it is the wall's."""

    connection = models.OneToOneField(BrokerConnection, on_delete=models.CASCADE, primary_key=True)
    now = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.connection_id} at {self.now:%Y-%m-%d %H:%M:%S}"
