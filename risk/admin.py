"""The rules of trading: switches by audited actions, limits with a reason."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from execution_site.audit import ReasonRequired
from execution_site.console import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from risk import control
from risk.checks import KillLevel, SystemMode
from risk.models import RiskDecision, RiskLimit, RiskUsage, SymbolRule, SystemControl


@admin.register(SystemControl)
class SystemControlAdmin(ReadOnlyAdmin):
    """The one row that gates trading: changed by audited actions, never through a form."""

    list_display = ("__str__", "mode", "kill_active", "kill_level", "kill_reason", "epoch")
    action_form = ReasonForm
    actions = ("to_guide", "to_autonomous", "kill_halted", "kill_reduce_only", "release")

    @admin.action(description="Switch to GUIDE: signals are refused", permissions=("change_mode",))
    def to_guide(self, request: HttpRequest, queryset: QuerySet[SystemControl]) -> None:
        """Refuse signals."""
        self._do(request, lambda **who: control.set_system_mode(SystemMode.GUIDE, **who))

    @admin.action(
        description="Switch to AUTONOMOUS: signals are traded", permissions=("change_mode",)
    )
    def to_autonomous(self, request: HttpRequest, queryset: QuerySet[SystemControl]) -> None:
        """Trade signals."""
        self._do(request, lambda **who: control.set_system_mode(SystemMode.AUTONOMOUS, **who))

    @admin.action(description="KILL: halt everything", permissions=("engage_kill",))
    def kill_halted(self, request: HttpRequest, queryset: QuerySet[SystemControl]) -> None:
        """Halt."""
        self._do(request, lambda **who: control.engage_kill(level=KillLevel.HALTED, **who))

    @admin.action(description="KILL: reduce only", permissions=("engage_kill",))
    def kill_reduce_only(self, request: HttpRequest, queryset: QuerySet[SystemControl]) -> None:
        """Let closing orders through alone."""
        self._do(request, lambda **who: control.engage_kill(level=KillLevel.REDUCE_ONLY, **who))

    @admin.action(description="Release the kill switch", permissions=("engage_kill",))
    def release(self, request: HttpRequest, queryset: QuerySet[SystemControl]) -> None:
        """Trade again."""
        self._do(request, control.release_kill)

    def _do(self, request: HttpRequest, change: Callable[..., None]) -> None:
        try:
            change(
                actor=request.user.get_username(),
                reason=request.POST.get("reason", ""),
                now=timezone.now(),
            )
        except ReasonRequired:
            self.message_user(request, "Give a reason: it is recorded.", messages.ERROR)
            return
        self.message_user(request, f"Done: {control.current()}.", messages.WARNING)

    def has_change_mode_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Tell whether the user may set the mode."""
        return request.user.has_perm("risk.change_mode")

    def has_engage_kill_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Tell whether the user may move the kill switch."""
        return request.user.has_perm("risk.engage_kill")


@admin.register(RiskLimit)
class RiskLimitAdmin(AuditedAdmin):
    """Limits; each change has a reason."""

    list_display = ("metric", "connection", "value", "note")
    list_filter = ("metric", "connection")


@admin.register(SymbolRule)
class SymbolRuleAdmin(AuditedAdmin):
    """What may be traded; each change has a reason."""

    list_display = ("symbol", "rule", "connection", "note")
    list_filter = ("rule", "connection")


@admin.register(RiskUsage)
class RiskUsageAdmin(ReadOnlyAdmin):
    """What is used of the limits."""

    list_display = ("connection", "metric", "trading_date", "used")
    ordering = ("-trading_date",)


@admin.register(RiskDecision)
class RiskDecisionAdmin(ReadOnlyAdmin):
    """Verdicts with every check."""

    list_display = ("id", "status", "build", "decided_at")
    list_filter = ("status",)
    ordering = ("-id",)
    show_full_result_count = False
