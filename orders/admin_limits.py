"""The limits in the console: with their use, the effect of another value, and four eyes."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.console import AuditedAdmin, json_values
from orders import limit_preview, limit_use, proposals
from risk import locks
from risk.four_eyes import ChangeKind, FourEyesRule
from risk.limits import STRICTER_UP
from risk.models import RiskLimit


@admin.register(RiskLimit)
class RiskLimitAdmin(AuditedAdmin):
    """Limits: what the scope leaves empty narrows nothing; all that apply must pass."""

    list_display = (
        "metric",
        "value",
        "scope",
        "effective_from",
        "effective_until",
        "owner",
        "note",
    )
    list_filter = ("metric", "connection")
    list_select_related = ("connection",)
    ordering = ("metric", "connection__name")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return a row; before its row the lock of all limits is taken (risk/locks.py)."""
        if request.method == "POST":
            locks.limits_exclusive()
        return super().get_object(request, object_id, from_field)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show how much is used now, and what another value would have refused."""
        row = RiskLimit.objects.select_related("connection").filter(pk=object_id).first()
        context = dict(extra_context or {})
        if row is not None and self.has_view_permission(request, row):
            accounts = list(BrokerConnection.objects.values_list("name", flat=True))
            preview = PreviewForm(request.GET if "preview_value" in request.GET else None)
            context |= {
                "use": limit_use.describe(row, limit_use.load(accounts)),
                "preview": preview,
                "effect": _effect(row, preview),
            }
        return super().change_view(request, object_id, form_url, context)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to delete where loosening a limit takes two people."""
        return super().has_delete_permission(request, obj) and not _two_people()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save a limit, or propose it where loosening one takes two people."""
        if change and _two_people() and _loosens(RiskLimit.objects.get(pk=obj.pk), obj):
            values = {k: v for k, v in json_values(obj).items() if k != "id"}
            proposals.propose(
                ChangeKind.LIMIT_UP,
                target=str(obj.pk),
                after={"id": obj.pk, "values": values},
                actor=request.user.get_username(),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
            request.proposed = True  # type: ignore[attr-defined]
            return
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Record the change, unless it has only been proposed."""
        if not hasattr(request, "proposed"):
            super().save_related(request, form, formsets, change)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Say what came of it."""
        if hasattr(request, "proposed"):
            said = "Proposed: a second person must approve it. Nothing has changed yet."
            self.message_user(request, said, messages.WARNING)
            return self.response_post_save_change(request, obj)
        return super().response_change(request, obj)


class PreviewForm(forms.Form):
    """Another value, and over how many days to look back."""

    preview_value = forms.DecimalField(
        min_value=0, max_digits=28, decimal_places=10, label="With the value"
    )
    preview_days = forms.IntegerField(
        min_value=1, max_value=90, initial=7, label="over the last days"
    )


def _effect(row: RiskLimit, preview: PreviewForm) -> limit_preview.Effect | None:
    if not preview.is_valid():
        return None
    asked = preview.cleaned_data
    return limit_preview.effect(
        row, value=asked["preview_value"], days=asked["preview_days"], now=timezone.now()
    )


def _two_people() -> bool:
    return FourEyesRule.objects.filter(kind=ChangeKind.LIMIT_UP).exists()


def _loosens(was: RiskLimit, new: RiskLimit) -> bool:
    """Tell whether a limit would bind less: any change but of a stricter value and of notes."""
    free = {"value", "note", "owner"}
    before, after = json_values(was), json_values(new)
    if any(before[name] != after[name] for name in before if name not in free):
        return True
    return new.value < was.value if was.metric in STRICTER_UP else new.value > was.value
