"""A request to give a working order other terms, as a row: judged, sent once, and settled."""

from django.db import models
from django.db.models import Q

from brokers.contract import OrderTerms
from execution_site.floor.columns import MONEY
from risk.models import RiskDecision


class ReplacementStatus(models.TextChoices):
    """WAITING to be sent, SENT and not answered; the others are final."""

    WAITING = "WAITING"
    SENT = "SENT"
    DONE = "DONE"
    REFUSED = "REFUSED"  # by risk, or by a switch at the grant
    REJECTED = "REJECTED"  # by the venue, in its own words
    OVERTAKEN = "OVERTAKEN"  # the order ended, or was cancelled, first
    FAILED = "FAILED"  # it never arrived


OPEN = (ReplacementStatus.WAITING, ReplacementStatus.SENT)


class Replacement(models.Model):
    """The whole terms an order shall have. At most one of an order is open.

    `widens` says that it raises the quantity or worsens a price, so that risk judged it and the
    switches may stop it.
    """

    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="replacements")
    quantity = models.DecimalField(**MONEY)
    limit_price = models.DecimalField(null=True, **MONEY)
    stop_price = models.DecimalField(null=True, **MONEY)
    widens = models.BooleanField()
    decision = models.OneToOneField(RiskDecision, on_delete=models.PROTECT, null=True)
    status = models.CharField(max_length=16, choices=ReplacementStatus)
    detail = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="replacement_open_once",
                fields=["order"],
                condition=Q(status__in=["WAITING", "SENT"]),
            )
        ]
        indexes = [
            models.Index(name="replacement_due", fields=["due_at"], condition=Q(status="WAITING"))
        ]

    def __str__(self) -> str:
        return f"{self.status} replacement {self.pk}"

    @property
    def terms(self) -> OrderTerms:
        """Return the terms the order shall have."""
        return OrderTerms(self.quantity, self.limit_price, self.stop_price)
