"""The rules in the console: switches by audited actions, limits by audited forms."""

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from execution_site.console import AuditedAdmin, ReadOnlyAdmin, ReasonForm, reason_given
from risk import control
from risk.checks import KillLevel, SystemMode
from risk.models import RiskDecision, RiskLimit, RiskUsage, SymbolRule, SystemControl


@admin.register(SystemControl)
class SystemControlAdmin(ReadOnlyAdmin):
    """The one row that gates trading: changed by audited actions, never through a form."""

    list_display = ("__str__", "mode", "kill_active", "kill_level", "kill_reason", "epoch")
    list_display_links = ("__str__",)
    exclude = ("installation",)
    action_form = ReasonForm
    actions = (
        "switch_to_guide",
        "switch_to_autonomous",
        "engage_halted",
        "engage_reduce_only",
        "release_kill",
    )

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
        description="Switch to AUTONOMOUS: signals are traded", permissions=("change_mode",)
    )
    def switch_to_autonomous(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Send what risk admits from now on."""
        self._set_mode(request, SystemMode.AUTONOMOUS)

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
        self._change(
            request,
            lambda actor, reason: control.release_kill(
                actor=actor, reason=reason, now=timezone.now()
            ),
            said="The kill switch is released.",
        )

    def _set_mode(self, request: HttpRequest, mode: SystemMode) -> None:
        self._change(
            request,
            lambda actor, reason: control.set_system_mode(
                mode, actor=actor, reason=reason, now=timezone.now()
            ),
            said=f"The system is in {mode}.",
        )

    def _engage(self, request: HttpRequest, level: KillLevel) -> None:
        self._change(
            request,
            lambda actor, reason: control.engage_kill(
                level=level, actor=actor, reason=reason, now=timezone.now()
            ),
            said=f"The kill switch is engaged at {level}. Working orders were not cancelled.",
        )

    def _change(
        self, request: HttpRequest, change: Callable[[str, str], None], *, said: str
    ) -> None:
        """Make a change with its reason and say how it went."""
        if (reason := reason_given(self, request)) is None:
            return
        try:
            change(request.user.get_username(), reason)
        except control.NotDrained as e:
            unfinished = f"{said} But a sender granted before may still send: {e}."
            self.message_user(request, unfinished, messages.ERROR)
        else:
            self.message_user(request, said, messages.WARNING)


@admin.register(RiskLimit)
class RiskLimitAdmin(AuditedAdmin):
    """Limits; without an account one applies to each account."""

    list_display = ("metric", "value", "connection", "note")
    list_filter = ("metric", "connection")
    list_select_related = ("connection",)
    ordering = ("metric", "connection__name")


@admin.register(SymbolRule)
class SymbolRuleAdmin(AuditedAdmin):
    """Symbols that may, or may not, be traded."""

    list_display = ("symbol", "rule", "connection", "note")
    list_filter = ("rule", "connection")
    list_select_related = ("connection",)
    ordering = ("symbol",)
    search_fields = ("symbol",)


@admin.register(RiskUsage)
class RiskUsageAdmin(ReadOnlyAdmin):
    """How much of a counted limit is used."""

    list_display = ("connection", "metric", "trading_date", "used")
    list_filter = ("metric", "connection")
    list_select_related = ("connection",)


@admin.register(RiskDecision)
class RiskDecisionAdmin(ReadOnlyAdmin):
    """Verdicts, with every check and the facts judged."""

    list_display = ("id", "status", "decided_at", "build")
    search_fields = ("id__exact",)
