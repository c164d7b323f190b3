"""The rules in the console: switches by audited actions, limits by audited forms."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from brokers.models import BrokerConnection
from execution_site.console import (
    AuditedAdmin,
    ReadOnlyAdmin,
    ReasonForm,
    json_values,
    reason_given,
)
from orders import breaker_watch, emergency, limit_preview, limit_use, proposals
from orders.models import Approval
from risk import control, locks
from risk.facts import KillLevel, SystemMode
from risk.four_eyes import ChangeKind, ChangeRequest, FourEyesRule
from risk.kills import KillSwitch, engaged
from risk.limits import STRICTER_UP
from risk.models import (
    Breaker,
    DayResult,
    RiskDecision,
    RiskLimit,
    RiskUsage,
    SymbolRule,
    SystemControl,
)


@admin.register(SystemControl)
class SystemControlAdmin(ReadOnlyAdmin):
    """The one row that gates trading: changed by audited actions, never through a form."""

    list_display = ("__str__", "mode", "kill_switches", "live_trading_enabled", "epoch")
    list_display_links = ("__str__",)
    exclude = ("installation",)
    action_form = ReasonForm
    actions = (
        "switch_to_guide",
        "switch_to_supervised",
        "switch_to_autonomous",
        "switch_live_on",
        "switch_live_off",
        "engage_halted",
        "engage_reduce_only",
        "release_kill",
    )

    @admin.display(description="kill switches")
    def kill_switches(self, _: SystemControl) -> str:
        """Return those that are engaged, in words."""
        return "; ".join(map(str, engaged())) or "released"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the row with its kill switches."""
        context = {"kills": list(engaged()), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_change_mode_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may change the mode."""
        return request.user.has_perm("risk.change_mode")

    def has_engage_kill_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may engage and release the kill switch."""
        return request.user.has_perm("risk.engage_kill")

    @admin.action(description="Switch to GUIDE: signals are refused", permissions=("change_mode",))
    def switch_to_guide(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Refuse every signal from now on."""
        self._set_mode(request, SystemMode.GUIDE)

    @admin.action(
        description="Switch to SUPERVISED: a person approves", permissions=("change_mode",)
    )
    def switch_to_supervised(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let what risk admits wait for a person from now on."""
        self._set_mode(request, SystemMode.SUPERVISED)

    @admin.action(
        description="Switch to AUTONOMOUS: signals are traded", permissions=("change_mode",)
    )
    def switch_to_autonomous(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Send what risk admits from now on."""
        self._set_mode(request, SystemMode.AUTONOMOUS)

    @admin.action(description="Switch live trading on", permissions=("change_mode",))
    def switch_live_on(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let orders reach live venues."""
        self._set_live(request, True)

    @admin.action(description="Switch live trading off", permissions=("change_mode",))
    def switch_live_off(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Keep orders from live venues."""
        self._set_live(request, False)

    @admin.action(description="Engage kill: HALTED", permissions=("engage_kill",))
    def engage_halted(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let nothing but cancels pass."""
        self._engage(request, KillLevel.HALTED)

    @admin.action(description="Engage kill: REDUCE_ONLY", permissions=("engage_kill",))
    def engage_reduce_only(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let nothing but cancels and reduce-only orders pass."""
        self._engage(request, KillLevel.REDUCE_ONLY)

    @admin.action(description="Release kill", permissions=("engage_kill",))
    def release_kill(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let orders pass again, as the mode allows."""
        self._propose_or_apply(
            request,
            ChangeKind.KILL_RELEASE,
            target=str(control.EVERYTHING),
            after=control.EVERYTHING.as_json(),
            said="The kill switch is released.",
        )

    def _set_mode(self, request: HttpRequest, mode: SystemMode) -> None:
        self._propose_or_apply(
            request,
            ChangeKind.MODE,
            target="system",
            after={"mode": mode.value},
            said=f"The system is in {mode}.",
        )

    def _propose_or_apply(
        self, request: HttpRequest, kind: ChangeKind, *, target: str, after: Any, said: str
    ) -> None:
        def change(actor: str, reason: str) -> str:
            proposed = proposals.propose_or_apply(
                kind, target=target, after=after, actor=actor, reason=reason, now=timezone.now()
            )
            return said if proposed is None else "Proposed: a second person must approve it."

        self._change(request, change)

    def _set_live(self, request: HttpRequest, enabled: bool) -> None:
        def change(actor: str, reason: str) -> str:
            control.set_live_trading(enabled, actor=actor, reason=reason, now=timezone.now())
            return f"Live trading is {'on' if enabled else 'off'}."

        self._change(request, change)

    def _engage(self, request: HttpRequest, level: KillLevel) -> None:
        said = f"The kill switch is engaged at {level}. Working orders were not cancelled."

        def change(actor: str, reason: str) -> str:
            control.engage_kill(level=level, actor=actor, reason=reason, now=timezone.now())
            return said

        self._change(request, change)

    def _change(self, request: HttpRequest, change: Callable[[str, str], str]) -> None:
        """Make a change with its reason and say how it went."""
        if (reason := reason_given(self, request)) is None:
            return
        try:
            said = change(request.user.get_username(), reason)
        except control.NotDrained as e:
            unfinished = f"Done, but a sender granted before may still send: {e}."
            self.message_user(request, unfinished, messages.ERROR)
        except emergency.NotReleasable as e:
            self.message_user(request, f"Not released: {e}.", messages.ERROR)
        else:
            self.message_user(request, said, messages.WARNING)


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
            proposals.propose_or_apply(
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


@admin.register(SymbolRule)
class SymbolRuleAdmin(AuditedAdmin):
    """Symbols that may, or may not, be traded."""

    list_display = ("symbol", "rule", "connection", "note")
    list_filter = ("rule", "connection")
    list_select_related = ("connection",)
    ordering = ("symbol",)
    search_fields = ("symbol",)


@admin.register(FourEyesRule)
class FourEyesRuleAdmin(AuditedAdmin):
    """Which kinds of change take two people."""

    list_display = ("kind",)


@admin.register(Breaker)
class BreakerAdmin(AuditedAdmin):
    """Circuit breakers; a tripped one is armed again by an audited action."""

    list_display = ("kind", "scope", "threshold", "value", "state", "action", "is_enabled")
    list_filter = ("kind", "state", "connection")
    list_select_related = ("connection",)
    ordering = ("kind", "pk")
    action_form = ReasonForm
    actions = ("arm_again",)

    def has_reset_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may reset breakers."""
        return request.user.has_perm("risk.reset_breaker")

    @admin.action(description="Arm again", permissions=("reset",))
    def arm_again(self, request: HttpRequest, rows: QuerySet[Breaker]) -> None:
        """Reset the selected breakers, with a reason."""
        if (reason := reason_given(self, request)) is None:
            return
        for row in rows:
            actor = request.user.get_username()
            breaker_watch.reset(row.pk, actor=actor, reason=reason, now=timezone.now())
        self.message_user(request, "Armed again.", messages.WARNING)


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    """Changes that wait for a second person."""

    list_display = ("kind", "target", "status", "proposer", "reason", "proposed_at", "decided_by")
    list_filter = ("status", "kind")
    action_form = ReasonForm
    actions = ("approve", "decline")

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Tell whether this person may decide on proposals."""
        return request.user.has_perm("risk.approve_change")

    @admin.action(description="Approve and apply", permissions=("approve",))
    def approve(self, request: HttpRequest, rows: QuerySet[ChangeRequest]) -> None:
        """Apply what another has proposed."""
        self._decide(request, rows, proposals.approve, "applied")

    @admin.action(description="Decline", permissions=("approve",))
    def decline(self, request: HttpRequest, rows: QuerySet[ChangeRequest]) -> None:
        """Decline proposals, or withdraw one's own."""
        self._decide(request, rows, proposals.decline, "declined")

    def _decide(
        self,
        request: HttpRequest,
        rows: QuerySet[ChangeRequest],
        decide: Callable[..., ChangeRequest],
        done: str,
    ) -> None:
        if (reason := reason_given(self, request)) is None:
            return
        for row in rows:
            try:
                decide(row.pk, actor=request.user.get_username(), reason=reason, now=timezone.now())
            except (proposals.NotDecidable, proposals.SamePerson, emergency.NotReleasable) as e:
                self.message_user(request, f"{row}: {e}.", messages.ERROR)
            else:
                self.message_user(request, f"{row.kind} {row.target}: {done}.", messages.WARNING)


def _to_read(model: type[Model], **attributes: Any) -> None:
    """Register a table that nobody edits."""
    admin.register(model)(type(f"{model.__name__}Admin", (ReadOnlyAdmin,), attributes))


_to_read(
    KillSwitch,
    list_display=("__str__", "actor", "reason", "engaged_at", "drained_at", "released_at"),
)
_to_read(
    RiskUsage,
    list_display=("connection", "strategy", "metric", "trading_date", "used"),
    list_filter=("metric", "connection"),
    list_select_related=("connection",),
)
_to_read(
    DayResult,
    list_display=("connection", "strategy", "currency", "trading_date", "day_pnl", "evaluated_at"),
    list_select_related=("connection",),
)
_to_read(
    RiskDecision,
    list_display=("id", "status", "decided_at", "build"),
    search_fields=("id__exact",),
)
_to_read(
    Approval,
    list_display=("signal", "outcome", "asked_at", "expires_at", "decided_by"),
    list_select_related=("signal",),
)
