"""The newest quote of each instrument."""

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from brokers.contract import LEAST, MOST, BarPart
from brokers.instruments.rows import Instrument
from execution_site.floor.columns import MONEY


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
