"""Signals, orders, fills and their clients."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from execution_site import audit
from execution_site.audit import ReasonRequired
from execution_site.console import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from orders.models import (
    ApiClient,
    ApiKey,
    Fill,
    Order,
    Signal,
    StreamCursor,
    SubmissionAttempt,
    VenueOrder,
)


@admin.register(ApiClient)
class ApiClientAdmin(AuditedAdmin):
    """Who may submit signals, and for which accounts."""

    list_display = ("name", "user", "is_active", "created_at")
    filter_horizontal = ("accounts",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys are made by `create_api_key` and revoked here."""

    list_display = ("prefix", "client", "scopes", "expires_at", "revoked_at")
    action_form = ReasonForm
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=("revoke",))
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke keys, for good."""
        now = timezone.now()
        try:
            with transaction.atomic():
                for key in queryset.filter(revoked_at=None):
                    audit.record(
                        "api_key_revoked",
                        actor=request.user.get_username(),
                        reason=request.POST.get("reason", ""),
                        at=now,
                        before=None,
                        after=now.isoformat(),
                        object_id=key.prefix,
                    )
                    ApiKey.objects.filter(pk=key.pk).update(revoked_at=now)
        except ReasonRequired:
            self.message_user(request, "Give a reason: it is recorded.", messages.ERROR)

    def has_revoke_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Tell whether the user may revoke."""
        return request.user.has_perm("orders.delete_apikey")


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    """What was asked for."""

    list_display = ("id", "strategy", "signal_id", "instrument", "action", "quantity", "status")
    list_filter = ("status", "strategy")
    list_select_related = ("instrument",)
    search_fields = ("signal_id", "strategy")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """What was sent."""

    list_display = (
        "id",
        "strategy",
        "instrument",
        "side",
        "quantity",
        "filled_quantity",
        "status",
        "status_reason",
        "created_at",
    )
    list_filter = ("status", "connection", "strategy")
    list_select_related = ("instrument",)
    search_fields = ("client_order_id", "venue_order_id")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(SubmissionAttempt)
class SubmissionAttemptAdmin(ReadOnlyAdmin):
    """Each grant to send."""

    list_display = ("id", "order_id", "number", "epoch", "outcome", "granted_at", "answered_at")
    list_filter = ("outcome",)
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(VenueOrder)
class VenueOrderAdmin(ReadOnlyAdmin):
    """Names at venues."""

    list_display = ("venue_order_id", "order_id", "connection", "role", "active")
    list_select_related = ("connection",)
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    """What was done."""

    list_display = ("id", "instrument", "side", "quantity", "price", "commission", "traded_at")
    list_filter = ("connection", "strategy")
    list_select_related = ("instrument",)
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(StreamCursor)
class StreamCursorAdmin(ReadOnlyAdmin):
    """How far venues have been read."""

    list_display = ("connection", "cursor", "updated_at")
    list_select_related = ("connection",)
