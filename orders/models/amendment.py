"""Busts and corrections: what a venue reports afterwards of a trade it has reported."""

from django.db import models
from django.db.models import Q

from brokers.contract import FillKind, Side
from brokers.models import BrokerConnection, Instrument
from execution_site.floor.columns import MONEY


class FillAmendment(models.Model):
    """One bust or correction of a trade. Append-only; of a trade's the highest revision counts.

    It may come before its trade. A bust leaves nothing of it; a correction replaces quantity,
    price and commission.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    venue_trade_id = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=[(s.value, s.value) for s in Side])
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in FillKind])
    revision = models.IntegerField()
    quantity = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY)
    commission = models.DecimalField(**MONEY)
    commission_currency = models.CharField(max_length=8)
    reported_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="amendment_once",
                fields=["connection", "instrument", "venue_trade_id", "side", "revision"],
            ),
            models.CheckConstraint(
                name="amendment_not_negative", condition=Q(quantity__gte=0) & Q(price__gte=0)
            ),
            models.CheckConstraint(name="amendment_amends", condition=~Q(kind="NEW")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.revision} of trade {self.venue_trade_id}"
