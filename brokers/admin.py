"""Instruments, quotes, and the paper venue's ledger. Connections: orders/console/connections.py."""

import copy
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from brokers.instruments.rows import TermsHeld, what_holds
from brokers.models import (
    ContractTerms,
    ExchangeSession,
    Instrument,
    PaperOrder,
    PaperReport,
    Quote,
)
from execution_site.console.tables import AuditedAdmin, AuditedForm, ReadOnlyAdmin


class TermsForm(AuditedForm):
    """Terms that something holds come back with the list of what does."""

    def full_clean(self) -> None:
        """Try the change out once the row is complete; the database knows what holds it."""
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        try:
            with what_holds(), transaction.atomic():
                copy.copy(self.instance).save()
                transaction.set_rollback(True)
        except TermsHeld as e:
            for name, why in e:
                self.add_error(name, why)


class TermsAdmin(AuditedAdmin):
    """A table of terms, which what holds them keeps."""

    form = TermsForm

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete, or say what holds it."""
        try:
            with what_holds():
                return super().delete_view(request, object_id, extra_context)
        except TermsHeld as e:
            self.message_user(request, str(e), messages.ERROR)
            return HttpResponseRedirect(request.path)


@admin.register(Instrument)
class InstrumentAdmin(TermsAdmin):
    """What can be traded."""

    list_display = ("symbol", "kind", "exchange", "currency", "tick_size", "lot_size")
    list_filter = ("kind", "exchange")
    search_fields = ("symbol", "description")


@admin.register(ContractTerms)
class ContractTermsAdmin(TermsAdmin):
    """What of an instrument's terms changes from a date on."""

    list_display = ("instrument", "effective_from", "lot_size", "freeze_quantity", "expiry_date")
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol",)
    autocomplete_fields = ("instrument",)


@admin.register(ExchangeSession)
class ExchangeSessionAdmin(AuditedAdmin):
    """When exchanges are open. What is edited here, `load_sessions` leaves as it is."""

    list_display = ("exchange", "trading_date", "opens_at", "closes_at", "note", "edited_by_hand")
    list_filter = ("exchange", "edited_by_hand")
    date_hierarchy = "trading_date"
    ordering = ("-trading_date", "exchange")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it as edited by hand."""
        obj.edited_by_hand = True
        super().save_model(request, obj, form, change)


@admin.register(Quote)
class QuoteAdmin(ReadOnlyAdmin):
    """The latest quotes."""

    list_display = ("instrument", "bid", "ask", "last", "as_of")
    list_select_related = ("instrument",)


@admin.register(PaperOrder)
class PaperOrderAdmin(ReadOnlyAdmin):
    """The paper venue's orders."""

    list_display = (
        "id",
        "account",
        "client_order_id",
        "symbol",
        "side",
        "quantity",
        "filled_quantity",
        "status",
    )
    list_filter = ("account", "status")
    search_fields = ("client_order_id",)
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(PaperReport)
class PaperReportAdmin(ReadOnlyAdmin):
    """The paper venue's ledger."""

    list_display = ("id", "account", "order_id", "status", "quantity", "price", "commission", "at")
    list_filter = ("account", "status")
    ordering = ("-id",)
    show_full_result_count = False
