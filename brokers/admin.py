"""Connections, instruments, quotes, and the paper venue's ledger."""

import copy
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from brokers import credentials
from brokers.instrument_rows import TermsHeld, what_holds
from brokers.models import (
    Broker,
    BrokerConnection,
    ContractTerms,
    ExchangeSession,
    Instrument,
    PaperOrder,
    PaperReport,
    Quote,
)
from brokers.paper.rules import InvalidTerms, Terms
from execution_site import audit
from execution_site.console import AuditedAdmin, AuditedForm, ReadOnlyAdmin

#: No adapter reads these yet: what would have no effect is not offered.
NOT_READ = ("base_url", "stream_url")
#: What the engine finds out, and the gate reads: to be seen, not set.
ENGINES_OWN = ("is_reconciling", "clock_offset")


class ConnectionForm(AuditedForm):
    """Credentials go in and never come out, not even when the form comes back with an error."""

    new_credentials = forms.JSONField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 60}),
        help_text='A JSON object, e.g. {"api_key": "..."}; replaces what is stored, {} removes it.',
    )

    class Meta:
        model = BrokerConnection
        exclude = ("credentials_sealed", *NOT_READ, *ENGINES_OWN)
        help_texts = {
            "dry_run": "Every stage runs and what would be sent is kept with the order; nothing is "
            "sent. What works at the venue already works on there: cancel it first."
        }

    def clean_new_credentials(self) -> dict[str, str] | None:
        """Take an object of texts; None keeps what is stored."""
        given: Any = self.cleaned_data["new_credentials"]
        if given is None:
            return None
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            raise forms.ValidationError("A JSON object of texts is expected.")
        return given

    def clean_day_roll_zone(self) -> str:
        """Take a zone there is."""
        zone: str = self.cleaned_data["day_roll_zone"]
        if zone not in available_timezones():
            raise forms.ValidationError("There is no such time zone; one is Asia/Kolkata.")
        return zone

    def clean_settings(self) -> dict[str, Any]:
        """Take an object; the paper venue's terms in it must be usable."""
        given: Any = self.cleaned_data["settings"]
        if given is None:
            return {}
        if not isinstance(given, dict):
            raise forms.ValidationError("A JSON object is expected.")
        if self.cleaned_data.get("broker", self.instance.broker) == Broker.PAPER:
            try:
                Terms.of(given)
            except InvalidTerms as e:
                raise forms.ValidationError(str(e)) from e
        return given


@admin.register(BrokerConnection)
class BrokerConnectionAdmin(AuditedAdmin):
    """Accounts at venues. What an account is stays: the log and the ledger know it by its name."""

    form = ConnectionForm
    list_display = ("name", "broker", "environment", "is_enabled", "dry_run", "has_credentials")

    @admin.display(boolean=True, description="credentials")
    def has_credentials(self, obj: BrokerConnection) -> bool:
        """Tell whether credentials are stored, and nothing else of them."""
        return bool(obj.credentials_sealed)

    def get_readonly_fields(self, _: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return what stays as it was made."""
        return ("name", "broker", "environment", *ENGINES_OWN) if obj else ()

    def has_delete_permission(self, _: HttpRequest, *__: Any) -> bool:
        """Refuse: a connection is disabled instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, then seal new credentials under the row's id; that they changed is recorded."""
        super().save_model(request, obj, form, change)
        given = form.cleaned_data["new_credentials"]
        if given is None:
            return
        before = self.has_credentials(obj)
        obj.credentials_sealed = credentials.seal(given, row_id=obj.pk) if given else b""
        obj.save(update_fields=["credentials_sealed"])
        audit.record(
            "credentials",
            actor=request.user.get_username(),
            reason=form.cleaned_data["reason"],
            at=timezone.now(),
            before="stored" if before else "none",
            after="stored" if given else "none",
            object_id=str(obj.pk),
        )


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
