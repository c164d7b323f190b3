"""What we hold."""

from typing import Any

from django.db import models

from brokers.instruments import decimal_text
from brokers.models import BrokerConnection, Instrument
from portfolio.closed_trades import ClosedTrade
from portfolio.history import PnlPoint
from portfolio.holding import Holding
from portfolio.option_rows import InterestRate, OptionGreeks

__all__ = ["ClosedTrade", "InterestRate", "OptionGreeks", "PnlPoint", "Position"]

MONEY: dict[str, Any] = {"max_digits": 28, "decimal_places": 10}


class Position(models.Model):
    """The fold of one strategy's fills in one instrument of one account, in the venue's order.

    `closed_pnl` is what it had made, net of commission, when it was last closed or turned round.

    `folded_*` name the newest fill in it and say how many there are; `fold_points` are a few states
    on the way (orders/booking.py), as JSON: a fill that arrives late is folded from there.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    quantity = models.DecimalField(default=0, **MONEY)
    cost = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    realized_pnl = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    commission = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    folded_at = models.DateTimeField(null=True)
    folded_sequence = models.DecimalField(default=0, db_default=0, max_digits=64, decimal_places=0)
    folded_trade_id = models.CharField(max_length=64, blank=True)
    folded_count = models.PositiveBigIntegerField(default=0)
    fold_points = models.TextField(default="[]")
    closed_pnl = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="position_once", fields=["connection", "strategy", "instrument"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id} {decimal_text(self.quantity)}"

    @property
    def holding(self) -> Holding:
        """Return the pure value of this row."""
        return Holding(self.quantity, self.cost, self.realized_pnl, self.commission)
