"""The rules of trading as data, and what each verdict was made of."""

from typing import Any

from django.db import models
from django.db.models import Q

from brokers.models import BrokerConnection
from risk.checks import KillLevel, Metric, SystemMode

MONEY: dict[str, Any] = {"max_digits": 28, "decimal_places": 10}


def _choices(enum: Any) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


class SystemControl(models.Model):
    """The one row that gates trading: mode and kill switch. Changed by risk/control.py alone.

    `epoch` grows with every change that closes a gate; each attempt to send carries the epoch it
    was granted under.
    """

    mode = models.CharField(max_length=16, choices=_choices(SystemMode), default=SystemMode.GUIDE)
    kill_active = models.BooleanField(default=False)
    kill_level = models.CharField(
        max_length=16, choices=_choices(KillLevel), default=KillLevel.HALTED
    )
    kill_reason = models.TextField(blank=True)
    kill_actor = models.CharField(max_length=150, blank=True)
    epoch = models.BigIntegerField(default=1)
    engaged_at = models.DateTimeField(null=True)
    drained_at = models.DateTimeField(null=True)
    installation = models.CharField(max_length=32)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.CheckConstraint(name="system_control_one_row", condition=Q(pk=1))]
        permissions = [
            ("change_mode", "Can change the system mode"),
            ("engage_kill", "Can engage and release the kill switch"),
        ]

    def __str__(self) -> str:
        return f"{self.mode}, {'killed' if self.kill_active else 'running'}"


class RiskLimit(models.Model):
    """One limit. Without an account it applies to each account; all that apply must pass."""

    connection = models.ForeignKey(
        BrokerConnection, on_delete=models.CASCADE, null=True, blank=True
    )
    metric = models.CharField(max_length=32, choices=_choices(Metric))
    value = models.DecimalField(**MONEY)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="limit_once", fields=["connection", "metric"], nulls_distinct=False
            ),
            models.CheckConstraint(name="limit_not_negative", condition=Q(value__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.value}"


class SymbolRule(models.Model):
    """A symbol that may, or may not, be traded. Where any ALLOW applies, only those may."""

    class Rule(models.TextChoices):
        """Deny beats allow."""

        ALLOW = "ALLOW"
        DENY = "DENY"

    connection = models.ForeignKey(
        BrokerConnection, on_delete=models.CASCADE, null=True, blank=True
    )
    symbol = models.CharField(max_length=64)
    rule = models.CharField(max_length=8, choices=Rule)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="symbol_rule_once",
                fields=["connection", "symbol"],
                nulls_distinct=False,
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.symbol}"


class RiskUsage(models.Model):
    """How much of a counted limit an account has used on a trading day; locked while judging."""

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE)
    metric = models.CharField(max_length=32, choices=_choices(Metric))
    trading_date = models.DateField()
    used = models.DecimalField(default=0, **MONEY)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="usage_once", fields=["connection", "metric", "trading_date"]
            ),
            models.CheckConstraint(name="usage_not_negative", condition=Q(used__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.trading_date}: {self.used}"


class RiskDecision(models.Model):
    """A verdict with every check, and all it was made of, so that it can be made again.

    Append-only. `inputs` are the facts judged, `build` the version of the code that judged.
    """

    status = models.CharField(max_length=24)
    checks = models.JSONField()
    inputs = models.JSONField()
    build = models.CharField(max_length=64)
    decided_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.status} {self.pk}"
