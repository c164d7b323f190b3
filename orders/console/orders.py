"""Who submits, and what came of it. Keys are revoked here; everything else is to be read."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.console.tables import (
    AuditedForm,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ReasonForm,
    reason_given,
)
from execution_site.floor import access, audit, locks
from execution_site.rest import permissions
from orders.console.two_persons import TwoPersonsAdmin
from orders.models import (
    ApiClient,
    ApiKey,
    Fill,
    Order,
    OrderGroup,
    Signal,
    StreamCursor,
    SubmissionAttempt,
    VenueOrder,
)
from orders.models.client import networks_of
from orders.payloads import time_text
from orders.two_persons import granting


class KeyForm(AuditedForm):
    """Where from and how long a key is good."""

    def clean_networks(self) -> list[str]:
        """Take networks there are."""
        try:
            return networks_of(self.cleaned_data["networks"] or [])
        except ValueError as e:
            raise forms.ValidationError(str(e)) from e


class KeyInline(ReadOnlyInline):
    """A client's keys, without their hashes."""

    model = ApiKey
    fields = readonly_fields = ("prefix", "scopes", "networks", "expires_at", "revoked_at")


def revoke(model_admin: admin.ModelAdmin, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
    """Revoke keys at once, each with its audit row; one that was revoked before stays as it is."""
    if (reason := reason_given(model_admin, request)) is None:
        return
    now, actor = timezone.now(), request.user.get_username()
    with transaction.atomic(durable=True):
        access.acting(actor, reason)
        found = locks.for_update(keys.filter(revoked_at=None).order_by("pk"))
        live = [key for key in found if granting.may_touch_key(request.user, key)]
        for key in live:
            key.revoked_at = now
            key.save(update_fields=["revoked_at"])
            audit.record(
                "apikey_revoked",
                actor=actor,
                reason=reason,
                at=now,
                before={"prefix": key.prefix, "revoked_at": None},
                after={"prefix": key.prefix, "revoked_at": time_text(now)},
                object_id=f"orders.apikey:{key.pk}",
            )
    model_admin.message_user(request, f"Keys revoked: {len(live)}.", messages.WARNING)


@admin.register(ApiClient)
class ApiClientAdmin(TwoPersonsAdmin):
    """Senders of signals: their accounts, and their keys to look at."""

    list_display = ("name", "user", "is_active", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("user",)
    search_fields = ("name",)
    ordering = ("name",)
    filter_horizontal = ("accounts",)
    inlines = (KeyInline,)
    action_form = ReasonForm
    actions = ("revoke_keys",)

    def reaches(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether this person may change a client."""
        return obj is None or granting.may_touch_client(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what is only read: whose a client is, superusers say."""
        return () if request.user.is_superuser else ("user", "owner")

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer the accounts that this person may act in."""
        own = permissions.accounts_of(request.user)
        if own is not None:
            kwargs["queryset"] = BrokerConnection.objects.filter(name__in=own)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it; a new one is whose it is said to be, or one's own."""
        if not change and obj.person_id is None:
            obj.owner_id = request.user.pk
        super().save_model(request, obj, form, change)

    @admin.action(description="Revoke all keys of the selected clients")
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiClient]) -> None:
        """Revoke what is left of these clients' keys."""
        revoke(self, request, ApiKey.objects.filter(client__in=queryset))


@admin.register(ApiKey)
class ApiKeyAdmin(TwoPersonsAdmin):
    """Keys: where from and how long they are good. `create_api_key` makes them."""

    form = KeyForm
    list_display = ("prefix", "client", "scopes", "created_at", "expires_at", "revoked_at")
    list_select_related = ("client",)
    search_fields = ("prefix__exact", "client__name")
    fields = ("prefix", "client", "scopes", "networks", "expires_at", "revoked_at", "reason")
    readonly_fields = ("prefix", "client", "scopes", "revoked_at")
    ordering = ("-pk",)
    action_form = ReasonForm
    actions = ("revoke_selected",)

    def reaches(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether this person may change a key."""
        return obj is None or granting.may_touch_key(request.user, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a command makes keys and shows the secret once."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a key is revoked instead."""
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke these keys."""
        revoke(self, request, queryset)


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    """What was asked for, and how it was answered."""

    list_display = (
        "id",
        "received_at",
        "strategy",
        "signal_id",
        "connection",
        "instrument",
        "action",
        "quantity",
        "status",
    )
    list_filter = ("status", "connection")
    list_select_related = ("connection", "instrument")
    search_fields = ("id__exact", "strategy__exact", "signal_id__exact")


class AttemptInline(ReadOnlyInline):
    """Each grant to send the order."""

    model = SubmissionAttempt


class FillInline(ReadOnlyInline):
    """What was executed of the order."""

    model = Fill
    fields = readonly_fields = (
        "venue_trade_id",
        "quantity",
        "price",
        "commission",
        "commission_currency",
        "traded_at",
        "late",
    )


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders; the overview cancels them."""

    list_display = (
        "id",
        "created_at",
        "connection",
        "strategy",
        "instrument",
        "side",
        "quantity",
        "order_type",
        "limit_price",
        "filled_quantity",
        "status",
        "status_reason",
    )
    list_filter = ("status", "side", "connection")
    list_select_related = ("connection", "instrument")
    search_fields = ("id__exact", "client_order_id__exact", "venue_order_id__exact")
    inlines = (AttemptInline, FillInline)


@admin.register(SubmissionAttempt)
class SubmissionAttemptAdmin(ReadOnlyAdmin):
    """Each grant to send, and what came of it."""

    list_display = ("id", "order", "number", "epoch", "granted_at", "outcome", "answered_at")
    list_filter = ("outcome",)
    list_select_related = ("order",)
    search_fields = ("order__id__exact",)


@admin.register(VenueOrder)
class VenueOrderAdmin(ReadOnlyAdmin):
    """The names orders have at their venues."""

    list_display = ("id", "order", "connection", "venue_order_id", "role", "active")
    list_select_related = ("order", "connection")
    search_fields = ("venue_order_id__exact", "client_order_id__exact")


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    """What was executed, booked once."""

    list_display = (
        "id",
        "traded_at",
        "connection",
        "strategy",
        "instrument",
        "side",
        "quantity",
        "price",
        "commission",
        "late",
    )
    list_filter = ("side", "late", "connection")
    list_select_related = ("connection", "instrument")
    search_fields = ("id__exact", "order__id__exact", "venue_trade_id__exact")


@admin.register(StreamCursor)
class StreamCursorAdmin(ReadOnlyAdmin):
    """How far each venue's reports have been read."""

    list_display = ("connection", "cursor", "updated_at")
    list_select_related = ("connection",)
    ordering = ("connection__name",)


@admin.register(OrderGroup)
class OrderGroupAdmin(ReadOnlyAdmin):
    """Several orders that are one decision."""

    list_display = (
        "id",
        "type",
        "connection",
        "strategy",
        "status",
        "failure",
        "alert",
        "created_at",
    )
    list_filter = ("status", "type", "connection")
    list_select_related = ("connection",)
    search_fields = ("strategy",)
