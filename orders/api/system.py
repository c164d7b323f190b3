"""The system's switches, for those who may move them."""

from typing import Any

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from execution_site.floor.audit import ReasonRequired
from execution_site.rest.http import ApiRequest, Problem
from execution_site.rest.idempotency import keyed
from execution_site.rest.listing import ApiView
from execution_site.rest.permissions import Right
from orders.api.actions import (
    KillScopeInput,
    ReasonInput,
    ScopeInput,
    action_answer,
    action_made,
    known_scope,
    reason_required,
)
from orders.api.fields import StrictSerializer, Text
from orders.api.serializers import Choice, Flag
from orders.control import breakers, emergency, mass_actions
from orders.control.emergency import NotReleasable
from orders.reports import selectors
from orders.two_persons import proposals
from risk.change_kinds import ChangeKind
from risk.control import Loosens
from risk.facts import KillLevel, SystemMode
from risk.four_eyes import SamePerson
from risk.kills import TradingScope
from risk.models import Breaker


class KillInput(StrictSerializer):
    """The body of POST /system/kill-switch."""

    active = Flag()
    scope = KillScopeInput(required=False, allow_null=True)
    level = Choice(choices=[level.value for level in KillLevel], default=KillLevel.HALTED.value)
    cancel_open = Flag(default=False)
    flatten = Flag(default=False)
    allow_unknown = Flag(default=False)
    reason = Text(max_length=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what a release would ignore."""
        ignored = [name for name in ("cancel_open", "flatten") if attrs[name]]
        if not attrs["active"] and ignored:
            raise serializers.ValidationError(
                dict.fromkeys(ignored, "only engaging cancels or flattens")
            )
        return attrs


class ModeInput(StrictSerializer):
    """The body of POST /system/mode."""

    mode = Choice(choices=[mode.value for mode in SystemMode])
    reason = Text(max_length=500)


class FlattenInput(ScopeInput):
    """The body of POST /positions/flatten."""

    reason = Text(max_length=500)


class System(ApiView):
    """The system's state."""

    @extend_schema(operation_id="get_system", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return mode, kill switch, connections and processes."""
        return Response(selectors.system(list(request.auth.accounts)))


class KillSwitch(ApiView):
    """The kill switch."""

    is_urgent = True

    @extend_schema(
        operation_id="kill_switch",
        request=KillInput,
        responses={200: dict, 202: dict, 400: dict, 403: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest) -> Response:
        """Engage or release the kill switch.

        Engaging commits at once, with what is to be cancelled or flattened, and returns when
        earlier senders are drained and that has been looked at once: `drained_at` is null where it
        is still being drained, `action` says what is left. 202: a second person must approve.
        """
        form = KillInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        request.auth.require(Right.KILL if wanted["active"] else Right.RELEASE_KILL)
        scope = known_scope(
            request, {**(wanted.get("scope") or {}), "allow_unknown": wanted["allow_unknown"]}
        )
        request.auth.require_reach(scope.account)
        try:
            if wanted["active"]:
                return self._engage(request, scope, wanted)
            return self._release(request, scope, wanted["reason"])
        except ReasonRequired as e:
            raise reason_required() from e
        except SamePerson as e:
            raise Problem(403, e.code, str(e)) from e
        except (NotReleasable, Loosens) as e:
            raise Problem(409, e.code, str(e)) from e

    def _engage(self, request: ApiRequest, scope: TradingScope, wanted: Any) -> Response:
        _, action = emergency.kill(
            scope,
            level=KillLevel(wanted["level"]),
            actor=request.auth.name,
            reason=wanted["reason"],
            accounts=request.auth.accounts,
            cancel_open=wanted["cancel_open"],
            flatten_too=wanted["flatten"],
            now=timezone.now(),
        )
        return self.state(request, None if action is None else action.pk)

    def _release(self, request: ApiRequest, scope: TradingScope, reason: str) -> Response:
        proposed = proposals.propose_or_apply(
            ChangeKind.KILL_RELEASE,
            target=str(scope),
            after=scope.as_json(),
            actor=request.auth.actor,
            reason=reason,
            now=timezone.now(),
        )
        if proposed is not None:
            return Response({"proposal": proposals.describe(proposed)}, 202)
        return self.state(request, None)

    def state(self, request: ApiRequest, made: int | None) -> Response:
        """Return the switches as they are now, with what was begun and how it stands."""
        done: dict[str, Any] = {"action": None, "cancelled": [], "closed": []}
        if made is not None:
            shown = mass_actions.describe(action_made(made))
            done = {"action": shown, "cancelled": shown["cancelled"], "closed": shown["closed"]}
        return Response(selectors.system(list(request.auth.accounts)) | done)


class Flatten(ApiView):
    """Closing what is held."""

    is_urgent = True

    @extend_schema(
        operation_id="flatten",
        request=FlattenInput,
        responses={200: dict, 202: dict, 400: dict, 403: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest) -> Response:
        """Close every position in the scope: cancels first, then closing orders, each reported.

        200 when all is closed, 202 while something is left: /actions/{id} says how it goes on.
        """
        form = FlattenInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = dict(form.validated_data)
        reason = wanted.pop("reason")
        scope = known_scope(request, wanted)
        try:
            action = emergency.flatten(
                scope,
                accounts=request.auth.accounts,
                actor=request.auth.name,
                reason=reason,
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        return action_answer(action)

    def state(self, request: ApiRequest, made: int) -> Response:
        """Return what was begun, as it is now."""
        return action_answer(action_made(made))


class BreakerReset(ApiView):
    """Arming a circuit breaker again."""

    @extend_schema(
        operation_id="reset_breaker",
        request=ReasonInput,
        responses={200: dict, 400: dict, 403: dict, 404: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Arm a breaker that has tripped; one that still reads past its threshold trips again."""
        form = ReasonInput(data=request.data)
        form.is_valid(raise_exception=True)
        ours = Q(connection=None) | Q(connection__name__in=list(request.auth.accounts))
        row = get_object_or_404(Breaker.objects.filter(ours).select_related("connection"), pk=pk)
        request.auth.require_reach(row.connection.name if row.connection else None)
        try:
            breakers.reset(
                row.pk,
                actor=request.auth.name,
                reason=form.validated_data["reason"],
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        return self.state(request, None, pk)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the system as it is now."""
        return Response(selectors.system(list(request.auth.accounts)))


class Mode(ApiView):
    """The system mode."""

    @extend_schema(
        operation_id="set_mode",
        request=ModeInput,
        responses={200: dict, 202: dict, 400: dict, 403: dict},
    )
    @keyed
    def post(self, request: ApiRequest) -> Response:
        """Set the system mode."""
        form = ModeInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        try:
            proposed = proposals.propose_or_apply(
                ChangeKind.MODE,
                target="system",
                after={"mode": wanted["mode"]},
                actor=request.auth.actor,
                reason=wanted["reason"],
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        except SamePerson as e:
            raise Problem(403, e.code, str(e)) from e
        if proposed is not None:
            return Response({"proposal": proposals.describe(proposed)}, 202)
        return self.state(request, None)

    def state(self, request: ApiRequest, made: int | None) -> Response:
        """Return the system as it is now."""
        return Response(selectors.system(list(request.auth.accounts)))
