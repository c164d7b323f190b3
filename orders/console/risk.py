"""Rules, breakers and proposals in the console, and the tables they leave behind."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from execution_site.console.tables import (
    AuditedAdmin,
    ReadOnlyAdmin,
    ReasonForm,
    actor_of,
    reason_given,
)
from orders.console.two_persons import PROPOSED, TwoPersonsAdmin
from orders.control import breakers, emergency
from orders.models import Approval
from orders.two_persons import proposals
from risk.change_kinds import ChangeKind
from risk.four_eyes import ChangeRequest, FourEyesRule, SamePerson
from risk.kills import KillSwitch
from risk.models import Breaker, DayResult, RiskDecision, RiskUsage, SymbolRule

REFUSED = (proposals.NotDecidable, proposals.MayNotDecide, SamePerson)


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
    """Which kinds of change take two people; to end a rule takes two as well."""

    list_display = ("kind",)
    action_form = ReasonForm
    actions = ("end",)

    def has_change_permission(self, _: HttpRequest, *__: Any) -> bool:
        """Refuse: a rule is there, or it is ended."""
        return False

    def has_delete_permission(self, _: HttpRequest, *__: Any) -> bool:
        """Refuse: one person would do."""
        return False

    @admin.action(description="Propose to end")
    def end(self, request: HttpRequest, rows: QuerySet[FourEyesRule]) -> None:
        """Propose that the selected rules end, with a reason; a second person applies it."""
        if (reason := reason_given(self, request)) is None:
            return
        for row in rows:
            proposals.propose_or_apply(
                ChangeKind.RULE_END,
                target=row.kind,
                after={"kind": row.kind},
                actor=actor_of(request),
                reason=reason,
                now=timezone.now(),
            )
        self.message_user(request, PROPOSED, messages.WARNING)


@admin.register(Breaker)
class BreakerAdmin(TwoPersonsAdmin):
    """Circuit breakers; a tripped one is armed again by an audited action."""

    list_display = ("kind", "scope", "threshold", "value", "state", "action", "is_enabled")
    list_filter = ("kind", "state", "connection")
    list_select_related = ("connection",)
    ordering = ("kind", "pk")
    action_form = ReasonForm
    actions = ("arm_again",)

    def has_delete_permission(self, _: HttpRequest, *__: Any) -> bool:
        """Refuse: the log names breakers by their ids, so one is switched off instead."""
        return False

    @admin.action(description="Arm again")
    def arm_again(self, request: HttpRequest, rows: QuerySet[Breaker]) -> None:
        """Reset the selected breakers, with a reason."""
        if (reason := reason_given(self, request)) is None:
            return
        actor = request.user.get_username()
        for row in rows:
            if not self.reaches(request, row):
                self.message_user(request, f"{row}: beyond your accounts.", messages.ERROR)
                return
        for row in rows:
            breakers.reset(row.pk, actor=actor, reason=reason, now=timezone.now())
        self.message_user(request, "Armed again.", messages.WARNING)


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    """Changes that wait for a second person."""

    list_display = (
        "kind",
        "target",
        "what",
        "status",
        "proposer",
        "reason",
        "proposed_at",
        "decided_by",
    )
    list_filter = ("status", "kind")
    exclude = ("before", "after")
    readonly_fields = ("what",)
    action_form = ReasonForm
    actions = ("approve", "decline")

    @admin.display(description="what changes")
    def what(self, row: ChangeRequest) -> str:
        """Return what it changes, in words."""
        found = proposals.differences_of(row)
        return "; ".join(f"{d.field}: {d.before} → {d.after}" for d in found)

    @admin.action(description="Approve and apply")
    def approve(self, request: HttpRequest, rows: QuerySet[ChangeRequest]) -> None:
        """Apply what another has proposed."""
        self._decide(request, rows, proposals.approve, "applied")

    @admin.action(description="Decline")
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
                if not self.reaches(request, row):
                    raise PermissionDenied
                decide(row.pk, actor=actor_of(request), reason=reason, now=timezone.now())
            except (*REFUSED, emergency.NotReleasable) as e:
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
