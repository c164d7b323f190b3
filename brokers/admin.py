"""Connections, instruments, quotes, and the paper venue's ledger."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from brokers import credentials
from brokers.models import BrokerConnection, Instrument, PaperOrder, PaperReport, Quote
from execution_site.console import AuditedAdmin, AuditedForm, ReadOnlyAdmin


class ConnectionForm(AuditedForm):
    """Credentials go in and never come out."""

    new_credentials = forms.JSONField(
        required=False,
        help_text='A JSON object, e.g. {"api_key": "..."}; replaces what is stored, never shown.',
    )

    class Meta:
        model = BrokerConnection
        exclude = ("credentials_sealed",)

    def clean_new_credentials(self) -> dict[str, str] | None:
        """Take an object of texts."""
        given = self.cleaned_data["new_credentials"]
        if given is None:
            return None
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            raise forms.ValidationError("A JSON object of texts is expected.")
        return dict(json.loads(json.dumps(given)))


@admin.register(BrokerConnection)
class BrokerConnectionAdmin(AuditedAdmin):
    """Accounts at venues."""

    form = ConnectionForm
    list_display = ("name", "broker", "environment", "is_enabled", "dry_run")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, then seal new credentials under the row's id."""
        super().save_model(request, obj, form, change)
        if given := form.cleaned_data.get("new_credentials"):
            sealed = credentials.seal(given, row_id=obj.pk)
            BrokerConnection.objects.filter(pk=obj.pk).update(credentials_sealed=sealed)


@admin.register(Instrument)
class InstrumentAdmin(AuditedAdmin):
    """What can be traded."""

    list_display = ("symbol", "kind", "exchange", "currency", "tick_size", "lot_size")
    list_filter = ("kind", "exchange")
    search_fields = ("symbol", "description")


@admin.register(Quote)
class QuoteAdmin(ReadOnlyAdmin):
    """The latest quotes."""

    list_display = ("instrument", "bid", "ask", "last", "as_of")
    list_select_related = ("instrument",)


@admin.register(PaperOrder)
class PaperOrderAdmin(ReadOnlyAdmin):
    """The paper venue's orders."""

    list_display = ("id", "account", "symbol", "side", "quantity", "filled_quantity", "status")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(PaperReport)
class PaperReportAdmin(ReadOnlyAdmin):
    """The paper venue's ledger."""

    list_display = ("id", "account", "order_id", "status", "quantity", "price", "commission", "at")
    ordering = ("-id",)
    show_full_result_count = False
