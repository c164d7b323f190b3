"""Signals as rows: what was asked, what became of it, and the answer its key gets ever after."""

from enum import StrEnum

from django.db import models
from django.db.models import Q

from brokers.models import BrokerConnection, Instrument
from execution_site.floor.columns import MONEY, choices
from orders.models.client import ApiClient
from risk.models import RiskDecision


class Action(StrEnum):
    """What a signal asks for."""

    BUY = "BUY"
    SELL = "SELL"
    EXIT = "EXIT"
    HOLD = "HOLD"
    GROUP = "GROUP"  # of the engine's own making: clients submit a group


ASKED = (Action.BUY, Action.SELL, Action.EXIT, Action.HOLD)


class SignalStatus(StrEnum):
    """What became of a signal when it was answered."""

    REFUSED = "REFUSED"
    APPROVED = "APPROVED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    HELD = "HELD"


class Signal(models.Model):
    """A request to trade, judged and answered once. The key is (client, strategy, signal_id).

    `answer` is the body every repetition of the key gets, to the byte. A group's signal has no
    instrument of its own.
    """

    client = models.ForeignKey(ApiClient, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    signal_id = models.CharField(max_length=128)
    body_hash = models.CharField(max_length=64)
    body = models.JSONField()
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, null=True)
    action = models.CharField(max_length=8, choices=choices(Action))
    quantity = models.DecimalField(null=True, **MONEY)
    status = models.CharField(max_length=24, choices=choices(SignalStatus))
    decision = models.OneToOneField(RiskDecision, on_delete=models.PROTECT, null=True)
    generated_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    correlation_id = models.CharField(max_length=128, blank=True)
    reason = models.TextField(blank=True)
    answer_status = models.SmallIntegerField()
    answer = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="signal_key_once", fields=["client", "strategy", "signal_id"]
            ),
            models.CheckConstraint(
                name="signal_names_its_instrument",
                condition=Q(action="GROUP") | Q(instrument__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["connection", "-id"])]

    def __str__(self) -> str:
        return f"{self.strategy}/{self.signal_id}"

    @property
    def traded(self) -> Instrument:
        """Return what it asks to trade.

        :raises ValueError: it is a group's
        """
        if self.instrument is None:
            raise ValueError(f"signal {self.pk} is a group's")
        return self.instrument
