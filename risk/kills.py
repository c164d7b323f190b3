"""Kill switches: what stops whom. Rows are engaged and released by risk/control.py alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from brokers.instruments.symbol_field import SymbolField
from brokers.models import BrokerConnection
from risk.facts import KillLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingScope:
    """What a kill, a cancel or a flatten is about; None narrows nothing."""

    account: str | None = None
    strategy: str | None = None
    symbol: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Return the scope as clients see it."""
        return {"account": self.account, "strategy": self.strategy, "symbol": self.symbol}

    def __str__(self) -> str:
        named = [f"{name} {value}" for name, value in self.as_json().items() if value]
        return ", ".join(named) or "everything"


class KillSwitch(models.Model):
    """One engagement of the kill switch. What its scope leaves empty narrows nothing.

    `epoch` is the one it began: no attempt of an older one is granted in its scope after
    `drained_at`. Kept when it is released.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.CASCADE, null=True)
    strategy = models.CharField(max_length=64, blank=True)
    symbol = SymbolField(max_length=64, blank=True)
    level = models.CharField(max_length=16, choices=[(k.value, k.value) for k in KillLevel])
    reason = models.TextField()
    actor = models.CharField(max_length=150)
    epoch = models.BigIntegerField()
    engaged_at = models.DateTimeField()
    drained_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=150, blank=True)
    release_reason = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "kill switches"
        constraints = [
            models.UniqueConstraint(
                name="kill_engaged_once",
                fields=["connection", "strategy", "symbol"],
                condition=Q(released_at=None),
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(name="kill_epoch", fields=["epoch"])]

    def __str__(self) -> str:
        return f"{self.level} for {self.scope}"

    @property
    def scope(self) -> TradingScope:
        """Return what it stops."""
        return TradingScope(
            account=self.connection.name if self.connection else None,
            strategy=self.strategy or None,
            symbol=self.symbol or None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as clients see it."""
        return {
            "id": self.pk,
            "active": self.released_at is None,
            "scope": self.scope.as_json(),
            "covers": str(self.scope),
            "level": self.level,
            "reason": self.reason,
            "actor": self.actor,
            "engaged_at": _time(self.engaged_at),
            "drained_at": _time(self.drained_at),
        }


def engaged() -> "models.QuerySet[KillSwitch]":
    """Return the kill switches that are engaged, the widest first."""
    rows = KillSwitch.objects.filter(released_at=None).select_related("connection")
    return rows.order_by("-connection_id", "strategy", "symbol", "pk")


def visible(accounts: Iterable[str]) -> list[KillSwitch]:
    """Return those that are engaged and concern any of these accounts."""
    names = set(accounts)
    return [k for k in engaged() if k.connection is None or k.connection.name in names]


def of_scope(scope: TradingScope) -> "models.QuerySet[KillSwitch]":
    """Return the engaged kill switch of exactly this scope, if there is one."""
    rows = KillSwitch.objects.filter(
        released_at=None, strategy=scope.strategy or "", symbol=scope.symbol or ""
    )
    if scope.account is None:
        return rows.filter(connection=None)
    return rows.filter(connection__name=scope.account)


#: The epoch in force: it grows with each change of the control row, which a part of a statement
#: calls `control`, and with each kill, which does not touch that row.
EPOCH = "greatest(control.epoch, (SELECT max(k.epoch) FROM risk_killswitch k))"

#: The strictest kill switch that stops an order; a part of larger statements. The names of the
#: columns that hold the order's connection, strategy and symbol are filled in.
STRICTEST = """(SELECT k.level || ' ' || concat_ws(', ',
        'account ' || kc.name, nullif('strategy ' || k.strategy, 'strategy '),
        nullif('symbol ' || k.symbol, 'symbol '))
    FROM risk_killswitch k LEFT JOIN brokers_brokerconnection kc ON kc.id = k.connection_id
    WHERE k.released_at IS NULL
      AND (k.connection_id IS NULL OR k.connection_id = {connection})
      AND (k.strategy = '' OR k.strategy = {strategy})
      AND (k.symbol = '' OR k.symbol = {symbol})
    ORDER BY k.level, k.id LIMIT 1)"""


def strictest(text: str | None) -> tuple[KillLevel | None, str]:
    """Return level and scope of what STRICTEST found."""
    if text is None:
        return None, ""
    level, _, scope = text.partition(" ")
    return KillLevel(level), scope


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
