"""Connections to venues in the console, with the credentials that go in and never come out."""

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from brokers import credentials
from brokers.models import Broker, BrokerConnection
from brokers.paper.rules import InvalidTerms, PaperSettings
from execution_site.console.tables import AuditedForm
from execution_site.floor import audit
from orders.console.two_persons import TwoPersonsAdmin
from risk.change_kinds import ChangeKind
from risk.four_eyes import takes_two

#: No adapter reads these yet: what would have no effect is not offered.
NOT_READ = ("base_url", "stream_url")
#: What the engine finds out, and the gate reads: to be seen, not set.
ENGINES_OWN = ("is_reconciling", "clock_offset")
#: Credentials are sealed to their row, so those that wait for a second person need one.
WITH_CREDENTIALS = (ChangeKind.CONNECTION, ChangeKind.CREDENTIALS)
ADD_FIRST = "This takes two persons: add the connection first, then give it its credentials."


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
        if given and self.instance.pk is None and any(map(takes_two, WITH_CREDENTIALS)):
            raise forms.ValidationError(ADD_FIRST)
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
                PaperSettings.of(given)
            except InvalidTerms as e:
                raise forms.ValidationError(str(e)) from e
        return given


@admin.register(BrokerConnection)
class BrokerConnectionAdmin(TwoPersonsAdmin):
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

    def sealed(self, obj: Any, form: Any) -> bytes | None:
        """Return new credentials sealed to their row, b"" to remove those stored."""
        given = form.cleaned_data["new_credentials"]
        if given is None or obj.pk is None:
            return None
        return credentials.seal(given, row_id=obj.pk) if given else b""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, then seal new credentials under the row's id; that they changed is recorded."""
        super().save_model(request, obj, form, change)
        if self.is_proposed(request) or (sealed := self.sealed(obj, form)) is None:
            return
        before = self.has_credentials(obj)
        obj.credentials_sealed = sealed
        obj.save(update_fields=["credentials_sealed"])
        audit.record(
            "credentials",
            actor=request.user.get_username(),
            reason=form.cleaned_data["reason"],
            at=timezone.now(),
            before="stored" if before else "none",
            after="stored" if sealed else "none",
            object_id=str(obj.pk),
        )
