"""Trades from flat to flat: what each made. A streak of losing ones is what risk looks at."""

from typing import Any

from django.db import models

from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection, Instrument

PNL: dict[str, Any] = {"max_digits": 80, "decimal_places": 30}


class ClosedTrade(models.Model):
    """One trade of a strategy, from an empty position until it was closed or turned round.

    `pnl` is net of all commission since the trade before, the closing fill's included; the fill is
    named by its venue's id, and `sequence` orders those of one time. A refold of the position
    writes its trades anew.
    """

    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    closed_at = models.DateTimeField()
    sequence = models.DecimalField(max_digits=64, decimal_places=0)
    venue_trade_id = models.CharField(max_length=64, db_collation="C")
    pnl = models.DecimalField(**PNL)

    class Meta:
        indexes = [
            models.Index(
                name="closed_trade_newest",
                fields=["connection", "strategy", "-closed_at", "-sequence", "-id"],
            )
        ]

    def __str__(self) -> str:
        return f"{self.strategy} {self.instrument_id}: {decimal_text(self.pnl)}"
