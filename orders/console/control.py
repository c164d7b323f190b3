"""The switches in the console: changed by audited actions, never through a form."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from execution_site.console.tables import ReadOnlyAdmin, ReasonForm, actor_of, reason_given
from orders.console.two_persons import PROPOSED
from orders.control import emergency
from orders.two_persons import proposals
from risk import control
from risk.change_kinds import ChangeKind
from risk.facts import KillLevel, SystemMode
from risk.kills import engaged
from risk.models import SystemControl


@admin.register(SystemControl)
class SystemControlAdmin(ReadOnlyAdmin):
    """The one row that gates trading: changed by audited actions, never through a form."""

    list_display = ("__str__", "mode", "kill_switches", "live_trading_enabled", "epoch_in_force")
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

    @admin.display(description="epoch")
    def epoch_in_force(self, _: SystemControl) -> int:
        """Return the epoch that a send granted now would carry."""
        return control.epoch()

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

    @admin.action(description="Switch to GUIDE: signals are refused")
    def switch_to_guide(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Refuse every signal from now on."""
        self._set_mode(request, SystemMode.GUIDE)

    @admin.action(description="Switch to SUPERVISED: a person approves")
    def switch_to_supervised(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let what risk admits wait for a person from now on."""
        self._set_mode(request, SystemMode.SUPERVISED)

    @admin.action(description="Switch to AUTONOMOUS: signals are traded")
    def switch_to_autonomous(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Send what risk admits from now on."""
        self._set_mode(request, SystemMode.AUTONOMOUS)

    @admin.action(description="Switch live trading on")
    def switch_live_on(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let orders reach live venues."""
        self._propose_or_apply(
            request,
            ChangeKind.LIVE_SWITCH,
            target="system",
            after={"live_trading_enabled": True},
            said="Live trading is on.",
        )

    @admin.action(description="Switch live trading off")
    def switch_live_off(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Keep orders from live venues."""

        def change(actor: str, reason: str) -> str:
            control.set_live_trading(False, actor=actor, reason=reason, now=timezone.now())
            return "Live trading is off."

        self._change(request, change)

    @admin.action(description="Engage kill: HALTED")
    def engage_halted(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let nothing but cancels pass."""
        self._engage(request, KillLevel.HALTED)

    @admin.action(description="Engage kill: REDUCE_ONLY")
    def engage_reduce_only(self, request: HttpRequest, _: QuerySet[SystemControl]) -> None:
        """Let nothing but cancels and reduce-only orders pass."""
        self._engage(request, KillLevel.REDUCE_ONLY)

    @admin.action(description="Release kill")
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
        by = actor_of(request)

        def change(_: str, reason: str) -> str:
            proposed = proposals.propose_or_apply(
                kind, target=target, after=after, actor=by, reason=reason, now=timezone.now()
            )
            return said if proposed is None else PROPOSED

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
            unfinished = f"Done, but a sender granted before may still send: {e}. Draining goes on."
            self.message_user(request, unfinished, messages.ERROR)
        except control.Loosens as e:
            self.message_user(request, f"Not engaged: {e}.", messages.ERROR)
        except emergency.NotReleasable as e:
            self.message_user(request, f"Not released: {e}.", messages.ERROR)
        else:
            self.message_user(request, said, messages.WARNING)
