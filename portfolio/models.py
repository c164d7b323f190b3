"""What we hold."""

import json
from decimal import Decimal
from typing import Any

from django.db import models

from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection, Instrument
from execution_site.floor.columns import MONEY
from portfolio.closed_trades import ClosedTrade
from portfolio.history import PnlPoint
from portfolio.holding import Holding
from portfolio.option_rows import InterestRate, OptionGreeks

__all__ = ["ClosedTrade", "InterestRate", "OptionGreeks", "PnlPoint", "Position"]

#: Exact products of what is stored to 10 places (portfolio/holding.py).
COST: dict[str, Any] = {"default": 0, "db_default": 0, "max_digits": 60, "decimal_places": 20}
PNL: dict[str, Any] = {"default": 0, "db_default": 0, "max_digits": 80, "decimal_places": 30}


class Position(models.Model):
    """The fold of one strategy's fills in one instrument of one account, in the venue's order.

    `commission` is what was charged in the instrument's currency, `other_commissions` what was in
    others, by currency, as JSON. `closed_pnl` is what it had made, net of commission, when it was
    last closed or turned round.

    `folded_*` name the newest fill in it and its trading date, and say how many there are;
    `opening_*` are the holding before the first fill of that date. `fold_points` are a few states
    on the way (portfolio/fold.py), as JSON: a fill that arrives late is folded from there.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    quantity = models.DecimalField(default=0, **MONEY)
    cost = models.DecimalField(**COST)
    realized_pnl = models.DecimalField(**PNL)
    commission = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    other_commissions = models.TextField(default="{}", db_default="{}")
    folded_at = models.DateTimeField(null=True)
    folded_date = models.DateField(null=True)
    folded_sequence = models.DecimalField(default=0, db_default=0, max_digits=64, decimal_places=0)
    folded_trade_id = models.CharField(max_length=64, blank=True)
    folded_count = models.PositiveBigIntegerField(default=0)
    fold_points = models.TextField(default="[]")
    closed_pnl = models.DecimalField(**PNL)
    opening_quantity = models.DecimalField(db_default=0, default=0, **MONEY)
    opening_cost = models.DecimalField(**COST)
    opening_realized_pnl = models.DecimalField(**PNL)
    opening_commission = models.DecimalField(
        default=0, db_default=0, max_digits=38, decimal_places=10
    )
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

    @property
    def opening(self) -> Holding:
        """Return what was held before the first fill of the newest fill's trading date."""
        return Holding(
            self.opening_quantity,
            self.opening_cost,
            self.opening_realized_pnl,
            self.opening_commission,
        )

    @property
    def charged_elsewhere(self) -> dict[str, Decimal]:
        """Return the commissions that were charged in other currencies than the instrument's."""
        return {name: Decimal(text) for name, text in json.loads(self.other_commissions).items()}
