"""Sends as rows: each grant and what came of it, and the names an order has at its venue."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from brokers.models import BrokerConnection


class SubmissionAttempt(models.Model):
    """One grant to send, and what came of it. Written before anything is sent.

    `request` is what a dry account would have sent.
    """

    class Outcome(models.TextChoices):
        """GRANTED: no answer yet. UNSENT: proved never to have left. DRY_RUN: held back by us."""

        GRANTED = "GRANTED"
        ANSWERED = "ANSWERED"
        REJECTED = "REJECTED"
        UNSENT = "UNSENT"
        UNKNOWN = "UNKNOWN"
        DRY_RUN = "DRY_RUN"

    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="attempts")
    number = models.SmallIntegerField()
    epoch = models.BigIntegerField()
    granted_at = models.DateTimeField()
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.GRANTED)
    detail = models.CharField(max_length=200, blank=True)
    answered_at = models.DateTimeField(null=True)
    request = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="attempt_number_once", fields=["order", "number"])
        ]
        indexes = [BrinIndex(name="attempt_granted", fields=["granted_at"])]

    def __str__(self) -> str:
        return f"attempt {self.number} of order {self.order_id}"


class VenueOrder(models.Model):
    """A name an order has at its venue; slices and replacements give it several."""

    class Role(models.TextChoices):
        """How the venue's order came to be."""

        PRIMARY = "PRIMARY"

    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="venue_orders")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    venue_order_id = models.CharField(max_length=64)
    client_order_id = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=Role, default=Role.PRIMARY)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="venue_order_once", fields=["connection", "venue_order_id"]
            )
        ]

    def __str__(self) -> str:
        return self.venue_order_id
