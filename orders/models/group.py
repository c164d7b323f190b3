"""Groups of orders as rows: one decision, several legs, and what has come of it."""

from django.db import models
from django.db.models import Q

from brokers.models import BrokerConnection
from execution_site.floor.columns import choices
from orders.group_states import GroupStatus, GroupType, OnLegFailure
from orders.models.signal import Signal


class OrderGroup(models.Model):
    """Several orders that are one decision. Its legs are its orders (`Order.leg` numbers them).

    `failure` says why it gives up, `exit_reason` why somebody wants it closed; both are empty while
    all is well. `deadline_at` is when the legs that are out must be filled. `due_at` is when it is
    looked at again: never once it is settled. `expected` is what its legs were to cost, lose and
    make at most when it was admitted. `unwinding_at` is when its unwinding began, or was last
    asked for; `escalations` is how many times people have been alerted since that it goes on,
    `alert` what they were alerted to last. What its legs hold is in `orders/models/share.py`.
    """

    signal = models.OneToOneField(Signal, on_delete=models.PROTECT, related_name="group")
    connection = models.ForeignKey(BrokerConnection, on_delete=models.PROTECT)
    strategy = models.CharField(max_length=64)
    type = models.CharField(max_length=16, choices=choices(GroupType))
    on_leg_failure = models.CharField(max_length=8, choices=choices(OnLegFailure))
    leg_timeout_seconds = models.PositiveIntegerField()
    status = models.CharField(max_length=24, choices=choices(GroupStatus))
    failure = models.CharField(max_length=200, blank=True)
    exit_reason = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    expected = models.JSONField(null=True)
    unwinding_at = models.DateTimeField(null=True)
    escalations = models.PositiveIntegerField(default=0)
    alert = models.CharField(max_length=200, blank=True)
    deadline_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(name="group_due", fields=["due_at"], condition=Q(due_at__isnull=False)),
            models.Index(
                name="group_settled", fields=["settled_at"], condition=Q(settled_at__isnull=False)
            ),
            models.Index(fields=["connection", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk} {self.status}"
