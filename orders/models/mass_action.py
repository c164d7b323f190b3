"""What a person asks of many orders or positions at once, as rows: any process can finish it."""

from datetime import datetime
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from brokers.models import BrokerConnection, Instrument
from execution_site.floor.columns import MONEY
from orders.models.signal import Signal
from risk.kills import KillSwitch, TradingScope


class Progress(models.TextChoices):
    """WORKING until nothing is left to do, or until a person withdraws it."""

    WORKING = "WORKING"
    DONE = "DONE"
    WITHDRAWN = "WITHDRAWN"


class _Due(models.QuerySet[Any]):
    """Questions about what waits to be looked at."""

    def due(self, *, now: datetime) -> Self:
        """Return what is to be looked at now, the longest waiting first."""
        return self.filter(status=Progress.WORKING, due_at__lte=now).order_by("due_at")


class MassAction(models.Model):
    """Cancel, or flatten, all that lies in a scope as far as it lies in `accounts`.

    Written in the transaction of the kill it belongs to, if any. `orders` are those it found
    working and cancels; the positions that flattening closes are its `closes`. Both are found when
    it is first looked at (`planned_at`), by a kill again until that has drained.
    """

    class Kind(models.TextChoices):
        """CANCEL what works; FLATTEN cancels, then closes what is held."""

        CANCEL = "CANCEL"
        FLATTEN = "FLATTEN"

    kind = models.CharField(max_length=16, choices=Kind)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT, null=True)
    strategy = models.CharField(max_length=64, blank=True)
    symbol = models.CharField(max_length=64, blank=True)
    accounts = ArrayField(models.CharField(max_length=64))
    keeps_reducing = models.BooleanField()
    kill = models.ForeignKey(KillSwitch, on_delete=models.PROTECT, null=True)
    actor = models.CharField(max_length=150)
    reason = models.TextField()
    orders = ArrayField(models.BigIntegerField(), default=list)
    status = models.CharField(max_length=16, choices=Progress, default=Progress.WORKING)
    asked_at = models.DateTimeField()
    planned_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = _Due.as_manager()

    class Meta:
        indexes = [
            models.Index(name="action_due", fields=["due_at"], condition=Q(status="WORKING"))
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.scope}"

    @property
    def scope(self) -> TradingScope:
        """Return what it is about."""
        return TradingScope(
            account=self.connection.name if self.connection else None,
            strategy=self.strategy or None,
            symbol=self.symbol or None,
        )


class PositionClose(models.Model):
    """Closing what a strategy holds in an instrument: order after order, until it is closed.

    For a flattening (`action`): all of it; for an EXIT signal whose order was turned away
    (`signal`): at most `quantity`, what is left of it. `order` is the one at work; `sent` counts
    them, `turned_away` those in a row that ended short. `detail` says what stands in the way,
    `alerted_at` when people were alerted.
    """

    action = models.ForeignKey(
        MassAction, on_delete=models.PROTECT, null=True, related_name="closes"
    )
    signal = models.OneToOneField(Signal, on_delete=models.PROTECT, null=True)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    quantity = models.DecimalField(null=True, **MONEY)
    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, null=True)
    sent = models.IntegerField(default=0)
    turned_away = models.IntegerField(default=0)
    status = models.CharField(max_length=16, choices=Progress, default=Progress.WORKING)
    detail = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    alerted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = _Due.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="closed_once_by_an_action",
                fields=["action", "connection", "strategy", "instrument"],
            ),
            models.CheckConstraint(
                name="close_of_an_action_or_a_signal",
                condition=Q(action=None, signal__isnull=False, quantity__gte=0)
                | Q(action__isnull=False, signal=None, quantity=None),
            ),
        ]
        indexes = [models.Index(name="close_due", fields=["due_at"], condition=Q(status="WORKING"))]

    def __str__(self) -> str:
        return f"close {self.pk} of {self.strategy}"
