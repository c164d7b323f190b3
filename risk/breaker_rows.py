"""Circuit breakers as rows: what trips them, and where they stand."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from brokers.models import BrokerConnection
from execution_site.floor.columns import TOTAL, choices
from risk.breakers import BreakerAction, BreakerKind, BreakerState


class Breaker(models.Model):
    """A circuit breaker of an account, or of a strategy in it. Units are risk/breakers.py's.

    `streak` counts the evaluations past the threshold that still want confirming; `quote_number`
    is of the last one that counted.
    """

    kind = models.CharField(max_length=24, choices=choices(BreakerKind))
    connection = models.ForeignKey(
        BrokerConnection, on_delete=models.CASCADE, null=True, blank=True, verbose_name="account"
    )
    strategy = models.CharField(max_length=64, blank=True)
    threshold = models.DecimalField(**TOTAL)
    window_seconds = models.PositiveIntegerField(default=300)
    action = models.CharField(
        max_length=16, choices=choices(BreakerAction), default=BreakerAction.BLOCK
    )
    is_enabled = models.BooleanField(default=True)
    note = models.CharField(max_length=200, blank=True)
    state = models.CharField(
        max_length=16, choices=choices(BreakerState), default=BreakerState.ARMED, editable=False
    )
    streak = models.PositiveSmallIntegerField(default=0, editable=False)
    value = models.DecimalField(null=True, editable=False, **TOTAL)
    detail = models.CharField(max_length=200, blank=True, editable=False)
    quote_number = models.BigIntegerField(default=0, editable=False)
    counted_at = models.DateTimeField(null=True, editable=False)
    evaluated_at = models.DateTimeField(null=True, editable=False)
    tripped_at = models.DateTimeField(null=True, editable=False)
    acted_at = models.DateTimeField(null=True, editable=False)
    watched_since = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="breaker_once",
                fields=["kind", "connection", "strategy"],
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="breaker_threshold_positive", condition=Q(threshold__gt=0)),
        ]
        permissions = [("reset_breaker", "Can reset a circuit breaker")]

    def __str__(self) -> str:
        return f"{self.kind} ({self.scope})"

    @property
    def scope(self) -> str:
        """Return whom it watches, in words."""
        named = (("account", self.connection and self.connection.name), ("strategy", self.strategy))
        return ", ".join(f"{name} {value}" for name, value in named if value) or "everything"

    @property
    def distance(self) -> Decimal | None:
        """Return what is left to the threshold, as a share of it; 0 when it is reached."""
        if self.value is None:
            return None
        return max(Decimal(0), round(1 - self.value / self.threshold, 4))
