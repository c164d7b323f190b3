"""Orders, their fills, and how far each venue's reports have been read."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Greatest

from brokers.contract import Liquidity, OrderType, Side, TimeInForce
from brokers.instruments.kinds import decimal_text
from brokers.models import BrokerConnection, Instrument
from execution_site.floor.columns import MONEY, choices
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models.group import OrderGroup
from orders.models.signal import Signal
from portfolio.fold import Execution
from portfolio.holding import CONTEXT, quantize
from risk.models import RiskDecision
from risk.origins import Origin


class OrderQuerySet(models.QuerySet["Order"]):
    """Questions about many orders."""

    def open(self) -> Self:
        """Orders that are not terminal."""
        return self.filter(status__in=OPEN)

    def due(self, *, now: datetime) -> Self:
        """Orders that wait to be sent: new ones, and those whose retry time has come."""
        return self.filter(status=OrderStatus.PENDING, due_at__lte=now)


class Order(models.Model):
    """One order that risk approved. `quantity` is positive, with a side.

    `filled_cost` is the sum of quantity x price of its fills, exactly; `commission` what was
    charged in the instrument's currency (its fills name what was in others). `mid_at_grant` is the
    mid when it was granted, against which slippage is measured. Not sent by `send_before`, it
    expires unsent.
    Busts and corrections have changed its filled quantity by `amended_quantity` (negative for a
    bust): what was traded decides its status, what is left of it its position. `terms_at` is the
    venue's time of the report that quantity and prices were last taken from. While it works it
    counts against limits at `reserved_price`, the worst it can trade at, and while a larger
    quantity is on its way to the venue, with `reserved_quantity`. `working_quantity` is what of it
    can still be filled: the one definition, of gate, grant and clients alike, worked out by the
    database; `remaining_quantity` says the same of a row in memory that is not saved yet. As a part
    of a group it opens leg `leg`, or closes it where its origin is UNWIND; without `due_at` it
    waits for its stage.
    """

    decision = models.OneToOneField(RiskDecision, on_delete=models.PROTECT, null=True)
    signal = models.OneToOneField(Signal, on_delete=models.PROTECT, null=True)
    group = models.ForeignKey(
        OrderGroup, on_delete=models.PROTECT, null=True, related_name="orders", db_index=False
    )
    leg = models.SmallIntegerField(null=True)
    origin = models.CharField(max_length=16, choices=choices(Origin))
    client_order_id = models.CharField(max_length=64)
    venue_order_id = models.CharField(max_length=64, blank=True)
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    side = models.CharField(max_length=4, choices=choices(Side))
    order_type = models.CharField(max_length=16, choices=choices(OrderType))
    time_in_force = models.CharField(max_length=4, choices=choices(TimeInForce))
    quantity = models.DecimalField(**MONEY)
    limit_price = models.DecimalField(null=True, **MONEY)
    stop_price = models.DecimalField(null=True, **MONEY)
    reserved_price = models.DecimalField(null=True, **MONEY)
    reserved_quantity = models.DecimalField(null=True, **MONEY)
    approved_by = models.CharField(max_length=150, blank=True)
    reduce_only = models.BooleanField(default=False)
    post_only = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True)
    terms_at = models.DateTimeField(null=True)
    filled_quantity = models.DecimalField(default=0, **MONEY)
    filled_cost = models.DecimalField(default=0, max_digits=60, decimal_places=20)
    commission = models.DecimalField(default=0, max_digits=38, decimal_places=10)
    amended_quantity = models.DecimalField(default=0, **MONEY)
    working_quantity = models.GeneratedField(
        expression=Case(
            When(
                status__in=sorted(OPEN),
                then=Greatest(
                    Coalesce(F("reserved_quantity"), F("quantity"))
                    - F("filled_quantity")
                    + F("amended_quantity"),
                    Value(Decimal(0)),
                ),
            ),
            default=Value(Decimal(0)),
        ),
        output_field=models.DecimalField(**MONEY),
        db_persist=True,
    )
    status = models.CharField(max_length=24, choices=choices(OrderStatus))
    pending_action = models.CharField(
        max_length=8, choices=choices(PendingAction), default=PendingAction.NONE
    )
    status_reason = models.CharField(max_length=200, blank=True)
    retry_count = models.SmallIntegerField(default=0)
    reference_price = models.DecimalField(null=True, **MONEY)
    mid_at_grant = models.DecimalField(null=True, **MONEY)
    correlation_id = models.CharField(max_length=128, blank=True)
    trading_date = models.DateField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    send_before = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    filled_at = models.DateTimeField(null=True)
    poll_due_at = models.DateTimeField(null=True)
    cancel_due_at = models.DateTimeField(null=True)
    not_found_count = models.SmallIntegerField(default=0)
    not_found_since = models.DateTimeField(null=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="client_order_id_once", fields=["connection", "client_order_id"]
            ),
            models.CheckConstraint(
                name="leg_of_a_group",
                condition=Q(group=None, leg=None) | Q(group__isnull=False, leg__isnull=False),
            ),
            models.UniqueConstraint(
                name="leg_opened_once",
                fields=["group", "leg"],
                condition=Q(origin="SIGNAL", group__isnull=False),
            ),
            models.CheckConstraint(name="order_quantity_positive", condition=Q(quantity__gt=0)),
            models.CheckConstraint(
                name="order_filled_not_negative", condition=Q(filled_quantity__gte=0)
            ),
            models.CheckConstraint(
                name="order_filled_when_filled",
                condition=~Q(status="FILLED")
                | Q(filled_quantity__gte=F("quantity") + F("amended_quantity")),
            ),
            models.CheckConstraint(
                name="limit_order_has_limit_price",
                condition=~Q(order_type__in=["LIMIT", "STOP_LIMIT"]) | Q(limit_price__gt=0),
            ),
            models.CheckConstraint(
                name="stop_order_has_stop_price",
                condition=~Q(order_type__in=["STOP", "STOP_LIMIT"]) | Q(stop_price__gt=0),
            ),
            models.CheckConstraint(
                name="gtd_order_has_its_time",
                condition=~Q(time_in_force="GTD") | Q(expires_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                name="order_open",
                fields=["connection", "instrument", "strategy"],
                condition=Q(status__in=sorted(OPEN)),
            ),
            models.Index(name="order_recent", fields=["connection", "instrument", "created_at"]),
            models.Index(name="order_of_group", fields=["group"], condition=Q(group__isnull=False)),
            models.Index(name="order_due", fields=["due_at"], condition=Q(status="PENDING")),
            models.Index(
                name="order_claimed",
                fields=["claimed_at"],
                condition=Q(status="SUBMITTING"),
            ),
            models.Index(
                name="order_poll_due",
                fields=["poll_due_at"],
                condition=Q(poll_due_at__isnull=False),
            ),
            models.Index(
                name="order_cancel_due",
                fields=["cancel_due_at"],
                condition=Q(cancel_due_at__isnull=False),
            ),
            models.Index(fields=["connection", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.side} {decimal_text(self.quantity)} {self.client_order_id}"

    @property
    def remaining_quantity(self) -> Decimal:
        """Return what can still be filled, as `working_quantity` says once it is saved."""
        if OrderStatus(self.status) not in OPEN:
            return Decimal(0)
        wanted = self.quantity if self.reserved_quantity is None else self.reserved_quantity
        return max(wanted - self.traded_quantity, Decimal(0))

    @property
    def traded_quantity(self) -> Decimal:
        """Return what its venue has filled, busted trades included."""
        return self.filled_quantity - self.amended_quantity

    def add(self, executions: Iterable[Execution]) -> None:
        """Add new executions to its totals."""
        for one in executions:
            self.filled_quantity += one.quantity
            self.filled_cost = CONTEXT.fma(one.quantity, one.price, self.filled_cost)
            self.commission += one.commission

    def total(self, traded: Sequence[Execution], counting: Sequence[Execution]) -> None:
        """Sum its fills: `traded` as the venue dealt them, `counting` as they are amended."""
        zero = Decimal(0)
        self.filled_quantity = self.filled_cost = self.commission = zero
        self.add(counting)
        self.amended_quantity = self.filled_quantity - sum((one.quantity for one in traded), zero)

    @property
    def average_price(self) -> Decimal | None:
        """Return the mean price of its fills, or None before the first."""
        if not self.filled_quantity:
            return None
        return quantize(CONTEXT.divide(self.filled_cost, self.filled_quantity))


class Fill(models.Model):
    """One execution, booked once. Append-only; `late` is one booked after the order had ended.

    `sequence` orders trades of one time as their venue does (`FillReport.place`).
    """

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    venue_trade_id = models.CharField(max_length=64, db_collation="C")
    sequence = models.DecimalField(max_digits=64, decimal_places=0)
    side = models.CharField(max_length=4, choices=choices(Side))
    quantity = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY)
    commission = models.DecimalField(**MONEY)
    commission_currency = models.CharField(max_length=8)
    liquidity = models.CharField(max_length=8, choices=choices(Liquidity))
    flags = models.JSONField(default=list)
    late = models.BooleanField()
    trading_date = models.DateField()
    traded_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="fill_once",
                fields=["connection", "instrument", "venue_trade_id", "side"],
            ),
            models.CheckConstraint(
                name="fill_positive", condition=Q(quantity__gt=0) & Q(price__gte=0)
            ),
        ]
        indexes = [
            models.Index(
                name="fill_fold",
                fields=[
                    "connection",
                    "strategy",
                    "instrument",
                    "traded_at",
                    "sequence",
                    "venue_trade_id",
                ],
            ),
            models.Index(fields=["connection", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.side} {decimal_text(self.quantity)} @ {decimal_text(self.price)}"


class StreamCursor(models.Model):
    """How far we have read a venue's reports."""

    connection = models.OneToOneField(BrokerConnection, on_delete=models.CASCADE, primary_key=True)
    cursor = models.CharField(max_length=128, blank=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.connection_id} at {self.cursor}"
