"""What the admin classes of every application share."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.http import HttpRequest
from django.utils import timezone

from execution_site import audit


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows to look at: no adding, changing or deleting, in bulk neither."""

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


class ReasonForm(ActionForm):
    """An action with its reason."""

    reason = forms.CharField(required=False, max_length=500)


class AuditedForm(forms.ModelForm):
    """A change with its reason."""

    reason = forms.CharField(max_length=500, help_text="Why; it goes into the audit trail.")


class AuditedAdmin(admin.ModelAdmin):
    """Each change and deletion is recorded with before, after, who and why, in its transaction."""

    form = AuditedForm

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the row and its audit event together."""
        before = _values(type(obj).objects.get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)
        self._record(request, obj, form.cleaned_data["reason"], before, _values(obj))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row and record what it was."""
        self._record(request, obj, "deleted in the console", _values(obj), None)
        super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleting many at once has no reasons; it is not offered."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def _record(self, request: HttpRequest, obj: Any, reason: str, before: Any, after: Any) -> None:
        audit.record(
            obj._meta.model_name,
            actor=request.user.get_username(),
            reason=reason,
            at=timezone.now(),
            before=before,
            after=after,
            object_id=str(obj.pk),
        )


def _values(obj: Any) -> dict[str, str | None]:
    """Return a row's columns as text, without what is sealed."""
    return {
        field.name: None if (value := getattr(obj, field.attname)) is None else str(value)
        for field in obj._meta.concrete_fields
        if field.editable or field.primary_key
    }
