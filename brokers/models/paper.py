"""The paper venue's own ledger. It names accounts and symbols, and knows nothing of the engine.

It keeps every order that arrived, duplicates included: it is the witness of what was sent.
"""

from django.db import models

from brokers.contract import Liquidity, OrderType, Side, TimeInForce, VenueStatus
from brokers.instruments.kinds import decimal_text
from execution_site.floor.columns import MONEY, choices


class PaperOrder(models.Model):
    """An order as the venue received it. Its id is the venue_order_id.

    It works from `active_at` on (market time; later than `received_at` by the account's latency)
    and meets each quote once: `quote_number` is the last one it met. `triggered`, `rested` and
    `queue_ahead` are as in `matching.Working`.
    """

    account = models.CharField(max_length=64)
    client_order_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=choices(Side))
    quantity = models.DecimalField(**MONEY)
    order_type = models.CharField(max_length=16, choices=choices(OrderType))
    time_in_force = models.CharField(max_length=4, choices=choices(TimeInForce))
    limit_price = models.DecimalField(null=True, **MONEY)
    stop_price = models.DecimalField(null=True, **MONEY)
    post_only = models.BooleanField(default=False)
    reduce_only = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True)
    active_at = models.DateTimeField(null=True)
    quote_number = models.BigIntegerField(default=0)
    triggered = models.BooleanField(default=False)
    rested = models.BooleanField(default=False)
    queue_ahead = models.DecimalField(null=True, **MONEY)
    filled_quantity = models.DecimalField(default=0, **MONEY)
    status = models.CharField(max_length=16, choices=choices(VenueStatus))
    reason = models.CharField(max_length=200, blank=True)
    received_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="paper_filled_within_quantity",
                condition=models.Q(filled_quantity__gte=0)
                & models.Q(filled_quantity__lte=models.F("quantity")),
            )
        ]
        indexes = [
            models.Index(fields=["account", "client_order_id"]),
            models.Index(
                fields=["account", "symbol", "id"],
                name="paper_working",
                condition=models.Q(status__in=["ACCEPTED", "PARTIALLY_FILLED"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.client_order_id}"


class PaperReport(models.Model):
    """One line of the venue's ledger: an order's new state, with its execution where there is one.

    Its id is the cursor (an account's reports commit in id order) and, for an execution, the
    venue_trade_id and the sequence. `order_quantity`, `limit_price` and `stop_price` are the
    order's terms then.
    """

    account = models.CharField(max_length=64)
    order = models.ForeignKey(PaperOrder, on_delete=models.PROTECT, related_name="reports")
    status = models.CharField(max_length=16, choices=choices(VenueStatus))
    reason = models.CharField(max_length=200, blank=True)
    filled_quantity = models.DecimalField(**MONEY)
    order_quantity = models.DecimalField(**MONEY)
    limit_price = models.DecimalField(null=True, **MONEY)
    stop_price = models.DecimalField(null=True, **MONEY)
    quantity = models.DecimalField(null=True, **MONEY)
    price = models.DecimalField(null=True, **MONEY)
    commission = models.DecimalField(null=True, **MONEY)
    commission_currency = models.CharField(max_length=8, blank=True)
    liquidity = models.CharField(max_length=8, blank=True, choices=choices(Liquidity))
    flags = models.JSONField(default=list)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["account", "id"])]

    def __str__(self) -> str:
        return f"{self.account} report {self.pk}"


class PaperHolding(models.Model):
    """What an account holds of a symbol at the venue, and what it took from the latest quote.

    `cash` is what its trades brought in (positive) or cost, times the multiplier, exactly, and
    before `fees`, both in `currency`. `bid_taken` and `ask_taken` are gone from quote
    `quote_number`.
    """

    account = models.CharField(max_length=64)
    symbol = models.CharField(max_length=64)
    currency = models.CharField(max_length=8)
    quantity = models.DecimalField(default=0, **MONEY)
    cash = models.DecimalField(default=0, max_digits=80, decimal_places=30)
    fees = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    quote_number = models.BigIntegerField(default=0)
    bid_taken = models.DecimalField(default=0, **MONEY)
    ask_taken = models.DecimalField(default=0, **MONEY)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="paper_holding_once", fields=["account", "symbol"])
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.symbol} {decimal_text(self.quantity)}"
