"""Signals that wait for a person (SUPERVISED mode), and what the person said."""

from django.db import models
from django.db.models import Q

from risk.models import RiskDecision


class Approval(models.Model):
    """One signal's wait. `price` is the mid when it was asked, None where there was none.

    `decision` is the verdict that was made at its approval, with the facts of that moment.
    """

    class Outcome(models.TextChoices):
        """How the wait ended."""

        WAITING = "WAITING"
        APPROVED = "APPROVED"
        REFUSED = "REFUSED"
        DECLINED = "DECLINED"
        EXPIRED = "EXPIRED"

    signal = models.OneToOneField("orders.Signal", on_delete=models.PROTECT)
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    price = models.DecimalField(null=True, max_digits=28, decimal_places=10)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.WAITING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    decision = models.OneToOneField(RiskDecision, on_delete=models.PROTECT, null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="declining_has_a_reason", condition=~Q(outcome="DECLINED") | ~Q(reason="")
            )
        ]
        indexes = [
            models.Index(
                name="approval_waiting", fields=["expires_at"], condition=Q(outcome="WAITING")
            )
        ]

    def __str__(self) -> str:
        return f"{self.signal_id}: {self.outcome}"
