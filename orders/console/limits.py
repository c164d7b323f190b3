"""The limits in the console: what a change does is shown first, then confirmed with a reason."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminErrorList, AdminForm
from django.contrib.admin.utils import unquote
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.console.tables import actor_of, json_values
from execution_site.floor import locks
from orders.console.limit_forms import CONFIRM, EndForm, InForce, LimitForm
from orders.console.two_persons import PROPOSED, Proposing
from orders.control import limit_preview, limit_use
from orders.two_persons import limit_changes
from risk.limits import MEANINGS, Metric
from risk.models import RiskLimit

SHOWN = "shown"
SHOWN_SECONDS = 900  # what was looked at longer ago is looked at again
LOOK_AGAIN = "It is not what was shown: look at the effect again."


class NotShown(Exception):
    """A change was to be saved whose effect, as it is now, nobody has looked at."""


@admin.register(RiskLimit)
class RiskLimitAdmin(Proposing):
    """Limits: what the scope leaves empty narrows nothing; all that apply must pass.

    Nothing is saved whose effect was not shown first. A limit is ended, never deleted: verdicts
    name it.
    """

    form = LimitForm
    fieldsets = (
        (None, {"fields": ("metric", "value")}),
        ("Scope", {"fields": ("connection", "strategy", "symbol", "underlying")}),
        ("In force", {"fields": ("effective_from", "effective_until")}),
        ("Kept by", {"fields": ("owner", "note")}),
    )
    list_display = ("metric", "limit", "scope", "state", "owner", "note")
    list_filter = (InForce, "metric", "connection")
    list_select_related = ("connection",)
    ordering = ("metric", "connection__name", "pk")
    actions = ("end_selected",)

    @admin.display(description="value", ordering="value")
    def limit(self, row: RiskLimit) -> str:
        """Return the value for people."""
        return limit_preview.number(row.value)

    @admin.display(description="state")
    def state(self, row: RiskLimit) -> str:
        """Say whether it applies now."""
        now = timezone.now()
        if row.has_ended(now):
            return f"ended {limit_preview.text(row.effective_until)}"
        if not row.is_in_force(now):
            return f"from {limit_preview.text(row.effective_from)}"
        until = row.effective_until
        return f"in force until {limit_preview.text(until)}" if until else "in force"

    def has_delete_permission(self, _: HttpRequest, *__: Any) -> bool:
        """Refuse: a limit is ended instead."""
        return False

    def get_urls(self) -> list[Any]:
        """Add the page that ends limits."""
        end = path("end/", self.admin_site.admin_view(self.end_view), name="risk_risklimit_end")
        return [end, *super().get_urls()]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return a row; the lock of all limits is taken before its row's (`floor/locks.py`)."""
        if request.method == "POST":
            locks.limits_exclusive()
        return super().get_object(request, object_id, from_field)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form, then the effect of what it says, then save what was shown."""
        row = None if object_id is None else self._row(object_id)
        allowed = (
            self.has_change_permission(request, row) if row else self.has_add_permission(request)
        )
        if request.method != "POST" or not allowed or (object_id and not row):
            context = {**(extra_context or {}), **self._use(row)}
            return super().changeform_view(request, object_id, form_url, context)
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)
        is_valid = form.is_valid()
        if set(form.errors) - {"reason"}:
            return self._page(request, form, object_id)
        if is_valid and CONFIRM in request.POST:
            try:
                return super().changeform_view(request, object_id, form_url, extra_context)
            except NotShown:
                self.message_user(request, LOOK_AGAIN, messages.WARNING)
        return self._page(request, form, object_id, shows_effect=True)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save what was shown, or propose it where it takes two people.

        :raises NotShown: its effect, as it is now, was not shown to this person
        """
        if not _was_shown(request, _change(request, obj)):
            raise NotShown
        was = RiskLimit.objects.get(pk=obj.pk) if change else None
        if limit_changes.takes_two(was, obj):
            proposal = limit_changes.propose(
                obj,
                actor=actor_of(request),
                reason=form.cleaned_data["reason"],
                now=timezone.now(),
            )
            self.propose(request, proposal)
            return
        super().save_model(request, obj, form, change)

    @admin.action(description="End the selected limits…")
    def end_selected(self, _: HttpRequest, rows: QuerySet[RiskLimit]) -> HttpResponse:
        """Go to the page that shows what ending these does."""
        asked = "&".join(f"id={pk}" for pk in rows.order_by("pk").values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse('admin:risk_risklimit_end')}?{asked}")

    def end_view(self, request: HttpRequest) -> HttpResponse:
        """Show what ending limits does, then end them with a reason."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        now = timezone.now()
        ids = [pk for pk in (request.POST or request.GET).getlist("id") if pk.isdecimal()]
        found = self.get_queryset(request).filter(pk__in=ids).select_related("connection")
        rows = [row for row in found.order_by("pk") if not row.has_ended(now)]
        if not all(self.reaches(request, row) for row in rows):
            raise PermissionDenied
        if not rows:
            self.message_user(request, "No such limit is in force.", messages.WARNING)
            return HttpResponseRedirect(reverse("admin:risk_risklimit_changelist"))
        form = EndForm(request.POST or None)
        ending = [request.user.pk, "end", *([row.pk, row.version] for row in rows)]
        if form.is_valid():
            if _was_shown(request, ending):
                return self._end(request, rows, form.cleaned_data["reason"])
            self.message_user(request, LOOK_AGAIN, messages.WARNING)
        ended = [(row, limit_changes.ended(row, now=now)) for row in rows]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "End this limit" if len(rows) == 1 else f"End {len(rows)} limits",
            "form": form,
            "rows": rows,
            "effects": [limit_preview.effect(was, new, now=now) for was, new in ended],
            "takes_two": any(limit_changes.takes_two(was, new) for was, new in ended),
            SHOWN: signing.dumps(ending, salt=SHOWN),
        }
        return TemplateResponse(request, "admin/risk/risklimit/end.html", context)

    def _end(self, request: HttpRequest, rows: list[RiskLimit], reason: str) -> HttpResponse:
        actor, now = actor_of(request), timezone.now()
        made = [limit_changes.end(row.pk, actor=actor, reason=reason, now=now) for row in rows]
        said = PROPOSED if any(made) else f"Ended: {', '.join(map(str, rows))}."
        self.message_user(request, said, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:risk_risklimit_changelist"))

    def _row(self, object_id: str) -> RiskLimit | None:
        """Return a limit without a lock: whoever only looks holds up no verdict."""
        pk = unquote(object_id)
        rows = RiskLimit.objects.select_related("connection")
        return rows.filter(pk=pk).first() if pk.isdecimal() else None

    def _use(self, row: RiskLimit | None) -> dict[str, Any]:
        """Return how much of a limit is used now, for its page."""
        if row is None:
            return {}
        accounts = list(BrokerConnection.objects.values_list("name", flat=True))
        used = limit_use.use(row, limit_use.load(accounts))
        return {
            "use": None if used is None else limit_preview.number(used),
            "can_end": not row.has_ended(timezone.now()),
            "limit": limit_preview.number(row.value),
            "unit": MEANINGS[Metric(row.metric)].unit,
        }

    def _page(
        self,
        request: HttpRequest,
        form: Any,
        object_id: str | None,
        *,
        shows_effect: bool = False,
    ) -> HttpResponse:
        """Return the form as it was filled in, with the effect of what it says."""
        before = None if object_id is None else self._row(object_id)
        shown = AdminForm(form, list(self.fieldsets), {}, model_admin=self)  # type: ignore[arg-type]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{'Add' if before is None else 'Change'} {self.opts.verbose_name}",
            "subtitle": None if before is None else f"{before.metric}, {before.scope}",
            "adminform": shown,
            "object_id": object_id,
            "original": before,
            "is_popup": False,
            "to_field": None,
            "media": self.media + shown.media,
            "inline_admin_formsets": [],
            "errors": () if shows_effect else AdminErrorList(form, []),
            **self._use(before),
        }
        if shows_effect:
            context |= {
                "effect": limit_preview.effect(before, form.instance, now=timezone.now()),
                "takes_two": limit_changes.takes_two(before, form.instance),
                SHOWN: signing.dumps(_change(request, form.instance), salt=SHOWN),
            }
        return self.render_change_form(
            request, context, add=before is None, change=before is not None, obj=before
        )


def _change(request: HttpRequest, limit: RiskLimit) -> list[Any]:
    """Return what a person is shown: the values a limit shall have, the version they replace."""
    return [request.user.pk, limit.pk, limit.version, json_values(limit)]


def _was_shown(request: HttpRequest, change: list[Any]) -> bool:
    """Tell whether exactly this was shown to this person, not long ago."""
    try:
        return bool(
            signing.loads(request.POST.get(SHOWN, ""), salt=SHOWN, max_age=SHOWN_SECONDS) == change
        )
    except signing.BadSignature:
        return False
