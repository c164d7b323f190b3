"""The rules of trading as data, and what each verdict was made of."""

from datetime import datetime
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Q

from brokers.instruments.kinds import decimal_text
from brokers.instruments.symbol_field import SymbolField
from brokers.models import BrokerConnection
from execution_site.floor import locks
from execution_site.floor.columns import MONEY, choices
from risk.breaker_rows import Breaker
from risk.days import DayResult
from risk.facts import SystemMode
from risk.four_eyes import ChangeRequest, FourEyesRule
from risk.kills import KillSwitch
from risk.limits import COUNTS, MEANINGS, Metric

__all__ = [
    "Breaker",
    "ChangeRequest",
    "DayResult",
    "FourEyesRule",
    "KillSwitch",
    "OrderRate",
    "RiskDecision",
    "RiskLimit",
    "RiskUsage",
    "SymbolRule",
    "SystemControl",
]


class SystemControl(models.Model):
    """The one row that gates trading: the mode, and the epoch. Changed by risk/control.py alone.

    `epoch` grows with every change of it; each attempt to send carries the epoch it was granted
    under. Kill switches are rows of their own, with epochs of the same count (risk/kills.py).
    """

    mode = models.CharField(max_length=16, choices=choices(SystemMode), default=SystemMode.GUIDE)
    live_trading_enabled = models.BooleanField(default=False)
    epoch = models.BigIntegerField(default=1)
    installation = models.CharField(max_length=32)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.CheckConstraint(name="system_control_one_row", condition=Q(pk=1))]
        permissions = [
            ("change_mode", "Can change the system mode"),
            ("engage_kill", "Can engage the kill switch"),
            ("release_kill", "Can release the kill switch"),
            ("control_installation", "Can act on the whole installation, whatever the account"),
            ("approve_change", "Can approve what another has proposed"),
        ]

    def __str__(self) -> str:
        return str(self.mode)


class LimitQuerySet(models.QuerySet["RiskLimit"]):
    """Questions about many limits."""

    def in_force(self, now: datetime) -> Self:
        """Limits that apply at `now`; what has ended is kept, since verdicts name it."""
        begun = Q(effective_from=None) | Q(effective_from__lte=now)
        return self.filter(begun, Q(effective_until=None) | Q(effective_until__gt=now))


class RiskLimit(models.Model):
    """One limit. It applies to every order that lies in its scope; all that apply must pass.

    What the scope leaves empty narrows nothing. Counts, exposures and losses are of all that lies
    in the scope together; money is each currency's by itself. Meanings and units are in
    risk/limits.py. `version` grows with each change; verdicts name it. A limit is ended, never
    deleted.
    """

    metric = models.CharField(max_length=32, choices=choices(Metric))
    value = models.DecimalField(**MONEY)
    connection = models.ForeignKey(
        BrokerConnection, on_delete=models.CASCADE, null=True, blank=True, verbose_name="account"
    )
    strategy = models.CharField(max_length=64, blank=True)
    symbol = SymbolField(max_length=64, blank=True)
    underlying = models.CharField(max_length=64, blank=True)
    effective_from = models.DateTimeField(null=True, blank=True)
    effective_until = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=200, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = LimitQuerySet.as_manager()

    class Meta:
        default_permissions = ("add", "change", "view")
        constraints = [
            models.UniqueConstraint(
                name="limit_once",
                fields=[
                    "connection",
                    "strategy",
                    "symbol",
                    "underlying",
                    "metric",
                    "effective_from",
                ],
                condition=Q(effective_until=None),
                nulls_distinct=False,
                violation_error_message="This metric has a limit of this scope already: change it.",
            ),
            models.CheckConstraint(name="limit_not_negative", condition=Q(value__gte=0)),
            models.CheckConstraint(
                name="limit_ends_after_it_begins",
                condition=Q(effective_until=None)
                | Q(effective_from=None)
                | Q(effective_until__gte=F("effective_from")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {decimal_text(self.value)} ({self.scope})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save it as a new version, once no verdict is being made by the old one."""
        with transaction.atomic():
            locks.limits_exclusive()
            if self.pk is not None:
                self.version += 1
            super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete it, once no verdict is being made by it."""
        with transaction.atomic():
            locks.limits_exclusive()
            return super().delete(*args, **kwargs)

    def is_in_force(self, now: datetime) -> bool:
        """Tell whether it applies at `now`."""
        begun = self.effective_from is None or self.effective_from <= now
        return begun and not self.has_ended(now)

    def has_ended(self, now: datetime) -> bool:
        """Tell whether it applies no more."""
        return self.effective_until is not None and self.effective_until <= now

    @property
    def parts(self) -> dict[str, str]:
        """Return the parts of the scope that narrow it, by name."""
        named = {
            "account": self.connection.name if self.connection else "",
            "strategy": self.strategy,
            "symbol": self.symbol,
            "underlying": self.underlying,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def scope(self) -> str:
        """Return the scope in words."""
        return ", ".join(f"{name} {value}" for name, value in self.parts.items()) or "everything"

    def clean(self) -> None:
        """Refuse a scope that the metric has no meaning in, and a part of what is counted."""
        allowed = MEANINGS[Metric(self.metric)].scopes if self.metric else frozenset()
        wrong = {
            "connection" if name == "account" else name: f"{self.metric} has no limit by {name}"
            for name in self.parts
            if name not in allowed
        }
        if self.metric in COUNTS and self.value is not None and self.value % 1:
            wrong["value"] = f"{self.metric} is a whole number"
        if wrong:
            raise ValidationError(wrong)


class SymbolRule(models.Model):
    """A symbol that may, or may not, be traded. Where any ALLOW applies, only those may."""

    class Rule(models.TextChoices):
        """Deny beats allow."""

        ALLOW = "ALLOW"
        DENY = "DENY"

    connection = models.ForeignKey(
        BrokerConnection, on_delete=models.CASCADE, null=True, blank=True
    )
    symbol = SymbolField(max_length=64)
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
    """How many orders a strategy has sent on an account's trading day.

    What can be worked out from positions and working orders (exposure, margin, open orders) is
    worked out whenever it is judged (risk/trade_counts.py); only counts over time are kept.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE)
    strategy = models.CharField(max_length=64, default="")
    metric = models.CharField(max_length=32, choices=choices(Metric))
    trading_date = models.DateField()
    used = models.DecimalField(default=0, **MONEY)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="usage_once", fields=["connection", "strategy", "metric", "trading_date"]
            ),
            models.CheckConstraint(name="usage_not_negative", condition=Q(used__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.trading_date}: {decimal_text(self.used)}"


class OrderRate(models.Model):
    """When an account's last sends were granted, oldest first; locked by each grant.

    Where sends wait, none goes before `next_at`.
    """

    connection = models.OneToOneField(BrokerConnection, on_delete=models.CASCADE, primary_key=True)
    sent = ArrayField(models.DateTimeField())
    next_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{len(self.sent)} sends of {self.connection_id}"


class RiskDecision(models.Model):
    """A verdict with every check, and all it was made of, so that it can be made again.

    Append-only. `inputs` are the facts judged, the limits with their versions among them, `build`
    the version of the code that judged. `manage.py rejudge` makes every verdict again.
    """

    status = models.CharField(max_length=24)
    checks = models.JSONField()
    inputs = models.JSONField()
    build = models.CharField(max_length=64)
    decided_at = models.DateTimeField()

    class Meta:
        indexes = [BrinIndex(name="decision_decided", fields=["decided_at"])]

    def __str__(self) -> str:
        return f"{self.status} {self.pk}"
