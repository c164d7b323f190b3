"""Users and groups in the console: changed with a reason, by whom they do not outrank."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from execution_site.console.tables import AuditedForm, actor_of
from execution_site.floor import access, audit, locks
from orders.console.two_persons import TwoPersonsAdmin
from orders.two_persons import granting, guarded_rows, proposals
from risk import four_eyes
from risk.change_kinds import ChangeKind

admin.site.unregister([User, Group])
SUPERUSERS_TO_SET = ("is_superuser",)
INACTIVE = "is not active: proposed, a second person must approve it."


class PersonForm(AuditedForm, UserChangeForm):
    """A change of a user, with its reason."""


class NewPersonForm(AuditedForm, AdminUserCreationForm):
    """A new user, without any right yet."""


class Granting(TwoPersonsAdmin):
    """A table of who may do what: nobody gives what they do not hold."""

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer what this person may give."""
        if db_field.related_model is Group:
            kwargs["queryset"] = granting.grantable_groups(request.user)
        else:
            kwargs["queryset"] = granting.grantable(request.user).select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(User)
class PersonAdmin(Granting, UserAdmin):
    """People. One's own rights, and those of whoever holds more, are for others to change."""

    form = PersonForm
    add_form = NewPersonForm
    fieldsets = (*(UserAdmin.fieldsets or ()), (None, {"fields": ("reason",)}))
    add_fieldsets = (*UserAdmin.add_fieldsets, (None, {"fields": ("reason",)}))

    def reaches(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether this person may change another."""
        return obj is None or granting.may_touch(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return what is only read: superusers are made by superusers."""
        read = ("last_login", "date_joined")
        return read if request.user.is_superuser else (*read, *SUPERUSERS_TO_SET)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it; where rights take two persons, a new user waits for the second."""
        waits = not change and four_eyes.takes_two(ChangeKind.RIGHTS)
        obj.is_active = obj.is_active and not waits
        super().save_model(request, obj, form, change)
        if waits:
            self._propose_activation(request, obj, form.cleaned_data["reason"])

    def user_change_password(self, request: Any, id: str, form_url: str = "") -> HttpResponse:
        """Set another's password, and record that it was set.

        Who sets it could sign in as the other, and be two persons: where rights take two, the other
        is active again once a second person has approved it.
        """
        with transaction.atomic():
            actor = request.user.get_username()
            access.acting(actor, "set in the console")
            changed = locks.for_update(User.objects.filter(pk=self._pk(id)))
            before = changed.values_list("password", flat=True).first()
            answer: HttpResponse = super().user_change_password(request, id, form_url)
            after = changed.values_list("password", flat=True).first()
            if after != before:
                if is_password_usable(after) and four_eyes.takes_two(ChangeKind.RIGHTS):
                    self._await_second(request, changed.exclude(pk=request.user.pk))
                audit.record(
                    "user_password",
                    actor=actor,
                    reason="set in the console",
                    at=timezone.now(),
                    before="set",
                    after="set anew",
                    object_id=f"auth.user:{id}",
                )
        return answer

    def _await_second(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users.filter(is_active=True):
            user.is_active = False
            user.save(update_fields=["is_active"])
            self._propose_activation(request, user, "a password was set in the console")

    def _propose_activation(self, request: HttpRequest, user: User, reason: str) -> None:
        proposals.propose(
            ChangeKind.RIGHTS,
            **guarded_rows.asked(user, guarded_rows.values_of(user) | {"is_active": True}),
            actor=actor_of(request),
            reason=reason,
            now=timezone.now(),
        )
        self.message_user(request, f"{user} {INACTIVE}", messages.WARNING)

    @staticmethod
    def _pk(text: str) -> int:
        plain = unquote(text)
        return int(plain) if plain.isdecimal() else 0


@admin.register(Group)
class GroupAdmin(Granting):
    """Groups of people who may do the same."""

    search_fields = ("name",)
    ordering = ("name",)
    filter_horizontal = ("permissions",)

    def reaches(self, request: HttpRequest, obj: Any) -> bool:
        """Tell whether this person may change a group."""
        return obj is None or granting.may_touch_group(request.user, obj)
