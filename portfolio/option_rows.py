"""What each option is worth and reacts to now, and the rates that it is valued with."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q

from brokers.instruments.symbols import Right
from brokers.models import Instrument
from portfolio.aggregation import GREEKS
from portfolio.black76 import DAYS, greeks_of


class InterestRate(models.Model):
    """The rate that options in a currency are valued with; 0 where there is no row.

    Continuous, per year of 365 days, 0.05 for 5 %.
    """

    currency = models.CharField(max_length=8, primary_key=True)
    rate = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rate_is_a_rate", condition=Q(rate__gt=-1.0) & Q(rate__lt=1.0)
            )
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.rate:.4f}"


class OptionGreeks(models.Model):
    """The latest valuation of an option, per unit of quantity: its multiplier is in it.

    Units are those of portfolio/black76.py; `price` is the model's, per unit of the underlying.
    What could not be valued has a `problem` and no Greeks. An expired option is its intrinsic value
    at the forward, and `expired` stands for the source of its volatility. `as_of` is the time of
    the oldest quote that it rests on, the market's; `valued_at` is when it was worked out, on the
    same clock.
    """

    instrument = models.OneToOneField(
        Instrument, on_delete=models.CASCADE, primary_key=True, related_name="greeks"
    )
    price = models.FloatField(null=True)
    delta = models.FloatField(null=True)
    gamma = models.FloatField(null=True)
    vega = models.FloatField(null=True)
    theta = models.FloatField(null=True)
    rho = models.FloatField(null=True)
    forward = models.FloatField(null=True)
    forward_source = models.CharField(max_length=8, blank=True)
    volatility = models.FloatField(null=True)
    volatility_source = models.CharField(max_length=16, blank=True)
    rate = models.FloatField()
    years = models.FloatField()
    problem = models.CharField(max_length=64, blank=True)
    as_of = models.DateTimeField(null=True)
    valued_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "option Greeks"
        constraints = [
            models.CheckConstraint(
                name="valued_or_says_why",
                condition=(~Q(problem="") & Q(delta=None))
                | Q(
                    problem="",
                    delta__isnull=False,
                    gamma__isnull=False,
                    vega__isnull=False,
                    theta__isnull=False,
                    rho__isnull=False,
                    as_of__isnull=False,
                ),
            )
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.problem or f'delta {self.delta:.4f}'}"

    def greeks_at(self, now: datetime) -> dict[str, float | None]:
        """Return its Greeks as last valued, from its expiry on those of its intrinsic value.

        `now` is its market's time. Nothing need be quoted any more for it to expire.
        """
        if self.forward is None or self.delta is None or not self.has_expired(now):
            return {name: getattr(self, name) for name in GREEKS}
        option, multiplier = self.instrument, float(self.instrument.multiplier)
        sign = 1.0 if option.right == Right.CALL else -1.0
        strike = float(option.strike or 0)
        unit = greeks_of(self.forward, strike, years=0.0, volatility=0.0, rate=self.rate, sign=sign)
        return {name: multiplier * getattr(unit, name) for name in GREEKS}

    def has_expired(self, now: datetime) -> bool:
        """Tell whether its time, as last valued, has run out."""
        return now >= self.valued_at + timedelta(days=DAYS * self.years)
