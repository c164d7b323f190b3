"""What of limits is filled in, and chosen, in the console."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from execution_site.console.tables import REASON_LENGTH, AuditedForm
from orders.control import limit_preview
from risk.models import RiskLimit

CONFIRM = "_confirm"


class LimitForm(AuditedForm):
    """A limit; the reason is asked for where the change is confirmed."""

    reason = forms.CharField(
        required=False,
        max_length=REASON_LENGTH,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        label="Reason",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["value"] = limit_preview.number(self.instance.value).replace(",", "")

    def clean_reason(self) -> str:
        """Take a reason for what is confirmed."""
        reason: str = self.cleaned_data["reason"].strip()
        if CONFIRM in self.data and not reason:
            raise forms.ValidationError("Give a reason.")
        return reason

    def clean_effective_until(self) -> Any:
        """Refuse an end that has been: until now it applied."""
        until = self.cleaned_data["effective_until"]
        if until and "effective_until" in self.changed_data and until <= timezone.now():
            raise forms.ValidationError("This time has passed. To end the limit now, use its End.")
        return until


class EndForm(forms.Form):
    """Why limits end."""

    reason = forms.CharField(
        max_length=REASON_LENGTH, widget=forms.TextInput(attrs={"class": "vTextField"})
    )


class InForce(admin.SimpleListFilter):
    """Those in force, those that have ended."""

    title = "state"
    parameter_name = "state"

    def lookups(self, *_: Any) -> Sequence[tuple[str, str]]:
        """Return the choices."""
        return (("in_force", "In force"), ("ended", "Ended"))

    def queryset(self, _: HttpRequest, rows: QuerySet[RiskLimit]) -> QuerySet[RiskLimit]:
        """Return the limits of the choice."""
        now = timezone.now()
        if self.value() == "in_force":
            return rows.filter(pk__in=RiskLimit.objects.in_force(now))
        return rows.filter(effective_until__lte=now) if self.value() == "ended" else rows
