"""Two kinds of table in the console: those nobody edits, and those edited with a reason."""

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Model
from django.forms.models import BaseInlineFormSet, model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from execution_site.console import table_rights
from execution_site.floor import access, audit, locks
from execution_site.rest import permissions

REASON_LENGTH = 500
SECRETS = frozenset({"password"})  # hashed or not, they are in no log


_WIDE = Context(prec=100)


def plain(value: Any) -> Any:
    """Return a decimal as text without the zeros that its column pads it with."""
    if not isinstance(value, Decimal):
        return value
    return format(value.normalize(_WIDE), "f")


if TYPE_CHECKING:
    _Tables = admin.options.BaseModelAdmin
else:
    _Tables = object


class PlainNumberInput(forms.TextInput):
    """Shows a decimal without padding."""

    def format_value(self, value: Any) -> str | None:
        """Return what the input shows."""
        shown: str | None = super().format_value(plain(value))
        return shown


class Permitted(_Tables):
    """A table in which each person sees and does what execution_site/rest/permissions.py says."""

    @property
    def permitted(self) -> table_rights.Table:
        """Return the table's entry there."""
        return table_rights.CONSOLE[self.opts.label_lower]

    def reaches(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether this person's rights reach a row; what has no account is for its table."""
        if obj is None or not self.permitted.account:
            return True
        return permissions.may_act(request.user, self.permitted.account_of(obj))

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows of accounts that this person may act in."""
        return super().get_queryset(request).filter(self.permitted.reached(request.user))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether this person may change rows, or this row."""
        return super().has_change_permission(request, obj) and self.reaches(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether this person may delete rows, or this row."""
        return super().has_delete_permission(request, obj) and self.reaches(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the accounts of one's own; who may act on everything may also name none."""
        made = super().formfield_for_foreignkey(db_field, request, **kwargs)
        own = permissions.accounts_of(request.user)
        if made is not None and own is not None and db_field.name == "connection":
            offered = db_field.remote_field.model.objects.filter(name__in=own)
            made.queryset, made.required = offered, True
        return made


class PlainDecimals(_Tables):
    """A table whose decimals are shown without padding: in forms, and where they are read."""

    formfield_overrides = {models.DecimalField: {"widget": PlainNumberInput}}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what is only read."""
        return self.plain(super().get_readonly_fields(request, obj))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what a form shows."""
        names = super().get_fields(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            return self.plain(names)
        read = super().get_readonly_fields(request, obj)
        return [self.plain([name])[0] if name in read else name for name in names]

    def plain(self, names: Sequence[Any]) -> list[Any]:
        """Return these columns, each decimal as a column of ours."""
        decimals = {
            field.name: field
            for field in self.opts.get_fields()
            if isinstance(field, models.DecimalField)
        }
        return [_column(decimals[name]) if name in decimals else name for name in names]


class PlainList(PlainDecimals, Permitted, admin.ModelAdmin):
    """A table whose list shows its decimals without padding too."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions that this person may take."""
        rights = permissions.rights_of(request.user)
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if (needs := self.permitted.actions.get(name)) is not None
            and (rights.issuperset(needs) if needs else self.has_change_permission(request))
        }

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the list's columns."""
        return self.plain(super().get_list_display(request))


@cache
def _column(field: "models.DecimalField[Any, Any]") -> Callable[[Any], Any]:
    @admin.display(description=field.verbose_name, ordering=field.name)
    def column(row: Any) -> Any:
        return plain(getattr(row, field.name))

    return column


class ReadOnlyAdmin(PlainList):
    """A table to read: nothing is added, changed or deleted here, in bulk neither."""

    ordering = ("-pk",)
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to delete."""
        return False


class ReadOnlyInline(PlainDecimals, admin.TabularInline):
    """Rows to read beside the one they belong to."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to add."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse to change."""
        return False


class ReasonForm(ActionForm):
    """An action with the reason for it."""

    reason = forms.CharField(required=False, max_length=REASON_LENGTH)


class AuditedForm(forms.ModelForm):
    """A change with the reason for it."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Why. Kept in the audit log with what was there before.",
    )


class AuditedAdmin(PlainList):
    """A table of rules: each change and each delete has a reason and an audit row of its own.

    The audit row is written in the transaction of the change, which the admin opens.
    """

    form = AuditedForm
    delete_confirmation_template = "admin/reason_delete_confirmation.html"

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return a row, locked while it is being changed, so that `before` is what was there."""
        if request.method == "POST":
            locked = locks.for_update(self.get_queryset(request).order_by())
            locked.filter(pk=self.opts.pk.to_python(object_id)).first()
        return super().get_object(request, object_id, from_field)

    def save_related(
        self,
        request: HttpRequest,
        form: Any,
        formsets: Iterable[BaseInlineFormSet],
        change: bool,
    ) -> None:
        """Save what belongs to the row, then record the whole change."""
        super().save_related(request, form, formsets, change)
        row = self.get_queryset(request).get(pk=form.instance.pk)
        after = model_to_dict(row, form.fields)
        before = {name: form.initial.get(name) for name in after} if change else None
        verb, reason = "changed" if change else "added", form.cleaned_data["reason"]
        self._record(verb, request, row, before=before, after=after, reason=reason)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete with a reason; without one, ask again."""
        if request.method == "POST" and not request.POST.get("reason", "").strip():
            self.message_user(request, "Give a reason to delete this.", messages.ERROR)
            return HttpResponseRedirect(request.path)
        return super().delete_view(request, object_id, extra_context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it, telling the database who changes it, and why."""
        access.acting(request.user.get_username(), form.cleaned_data["reason"])
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete a row and record what it was."""
        before, reason = model_to_dict(obj), request.POST["reason"]
        access.acting(request.user.get_username(), reason)
        self._record("deleted", request, obj, before=before, after=None, reason=reason)
        super().delete_model(request, obj)

    def _record(
        self, verb: str, request: HttpRequest, obj: Model, *, before: Any, after: Any, reason: str
    ) -> None:
        audit.record(
            f"{self.opts.model_name}_{verb}",
            actor=request.user.get_username(),
            reason=reason,
            at=timezone.now(),
            before=_json(before),
            after=_json(after),
            object_id=f"{self.opts.label_lower}:{obj.pk}",
        )


def actor_of(request: HttpRequest) -> audit.Actor:
    """Return the person who acts."""
    return audit.Actor(request.user.get_username(), request.user.pk)


def json_values(row: Model) -> Any:
    """Return a row's editable fields as JSON values."""
    return _json(model_to_dict(row))


def reason_given(model_admin: admin.ModelAdmin, request: HttpRequest) -> str | None:
    """Return the reason posted with an action; without one, say so on the page."""
    if reason := request.POST.get("reason", "").strip()[:REASON_LENGTH]:
        return reason
    model_admin.message_user(request, "Give a reason: nothing was changed.", messages.ERROR)
    return None


def _json(values: dict[str, Any] | None) -> Any:
    """Return fields as JSON values: decimals as strings, related rows by their names."""
    if values is None:
        return None
    named = {
        name: [str(v) for v in value] if isinstance(value, list) else value
        for name, value in values.items()
        if name not in SECRETS
    }
    return json.loads(json.dumps(named, cls=DjangoJSONEncoder))
