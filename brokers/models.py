"""The outside world as rows: connections, and the latest quote of each instrument."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Self

from django.db import models
from django.db.models import F, Q

from brokers import calendars, credentials
from brokers.bars import Bar
from brokers.contract import LEAST, MOST, BarPart
from brokers.instrument_rows import ContractTerms, Instrument
from brokers.paper.models import PaperHolding, PaperOrder, PaperReport
from brokers.sessions import ExchangeSession

__all__ = [
    "Bar",
    "BrokerConnection",
    "ContractTerms",
    "ExchangeSession",
    "Instrument",
    "MarketClock",
    "PaperHolding",
    "PaperOrder",
    "PaperReport",
    "Quote",
]

MONEY: dict[str, Any] = {"max_digits": 28, "decimal_places": 10}


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
        return calendars.trading_date(now, roll=self.day_roll_time, zone=self.day_roll_zone)

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


def _nobody_or_within(name: str, least: Decimal) -> Q:
    return Q((f"{name}__isnull", True)) | Q((f"{name}__range", (least, MOST)))


class Quote(models.Model):
    """The latest quote of an instrument, as its `QuoteUpdate` came in.

    A missing size is unknown, a side without price empty; `has_book` tells an empty book from none,
    `of_bar` a quote made from a bar.
    `as_of` is the market's time, `received_at` ours; `number` counts the quotes stored, since
    several may share one time.
    """

    instrument = models.OneToOneField(Instrument, on_delete=models.CASCADE, primary_key=True)
    bid = models.DecimalField(null=True, **MONEY)
    ask = models.DecimalField(null=True, **MONEY)
    bid_size = models.DecimalField(null=True, **MONEY)
    ask_size = models.DecimalField(null=True, **MONEY)
    last = models.DecimalField(null=True, **MONEY)
    last_size = models.DecimalField(null=True, **MONEY)
    has_book = models.BooleanField(default=False)
    of_bar = models.BooleanField(default=False)
    as_of = models.DateTimeField()
    received_at = models.DateTimeField()
    number = models.BigIntegerField(default=1)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="quote_not_crossed",
                condition=Q(bid__isnull=True) | Q(ask__isnull=True) | Q(bid__lte=F("ask")),
            ),
            models.CheckConstraint(
                name="quote_of_somebody",  # NaN is above every number here
                condition=_nobody_or_within("bid", LEAST)
                & _nobody_or_within("ask", LEAST)
                & _nobody_or_within("bid_size", LEAST)
                & _nobody_or_within("ask_size", LEAST)
                & _nobody_or_within("last", LEAST)
                & _nobody_or_within("last_size", Decimal(0)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.bid}/{self.ask}"

    @property
    def bar(self) -> BarPart | None:
        """Return what the quote is of its bar, for an order that comes now: nothing but a part."""
        return BarPart() if self.of_bar else None

    @property
    def mark(self) -> Decimal | None:
        """Return the mid, or the last trade where there is no two-sided book."""
        if self.bid is not None and self.ask is not None:
            return (self.bid + self.ask) / 2
        return self.last
