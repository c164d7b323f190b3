"""The system's switches, for those who may move them."""

from typing import Any

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.audit import ReasonRequired
from execution_site.http import ApiRequest, Problem
from orders import breaker_watch, emergency, proposals, selectors
from orders.clients import Scope
from orders.emergency import NotReleasable
from orders.fields import StrictSerializer, Text
from orders.serializers import Choice, Flag
from risk.facts import KillLevel, SystemMode
from risk.four_eyes import ChangeKind
from risk.kills import Scope as KillScope
from risk.models import Breaker


class ScopeInput(StrictSerializer):
    """What a kill is about; what is absent narrows nothing."""

    account = Text(max_length=64, required=False, allow_null=True)
    strategy = Text(max_length=64, required=False, allow_null=True)
    symbol = Text(max_length=64, required=False, allow_null=True)


class KillInput(StrictSerializer):
    """The body of POST /system/kill-switch."""

    active = Flag()
    scope = ScopeInput(required=False, allow_null=True)
    level = Choice(choices=[level.value for level in KillLevel], default=KillLevel.HALTED.value)
    cancel_open = Flag(default=False)
    flatten = Flag(default=False)
    reason = Text(max_length=500)


class ModeInput(StrictSerializer):
    """The body of POST /system/mode."""

    mode = Choice(choices=[mode.value for mode in SystemMode])
    reason = Text(max_length=500)


class FlattenInput(ScopeInput):
    """The body of POST /positions/flatten."""

    reason = Text(max_length=500)


class ReasonInput(StrictSerializer):
    """The body of what needs a reason alone."""

    reason = Text(max_length=500)


class System(APIView):
    """The system's state."""

    @extend_schema(operation_id="get_system", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return mode, kill switch, connections and processes."""
        return Response(selectors.system(list(request.auth.accounts)))


class KillSwitch(APIView):
    """The kill switch."""

    @extend_schema(
        operation_id="kill_switch", request=KillInput, responses={200: dict, 400: dict, 403: dict}
    )
    def post(self, request: ApiRequest) -> Response:
        """Engage or release the kill switch. Engaging returns when earlier senders are drained."""
        request.auth.require(Scope.CONTROL)
        form = KillInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted, now = form.validated_data, timezone.now()
        scope = KillScope(**(wanted.get("scope") or {}))
        _require_account(request, scope)
        done: dict[str, Any] = {"cancelled": [], "closed": []}
        try:
            if wanted["active"]:
                _, done = emergency.kill(
                    scope,
                    level=KillLevel(wanted["level"]),
                    actor=request.auth.name,
                    reason=wanted["reason"],
                    accounts=request.auth.accounts,
                    cancel_open=wanted["cancel_open"],
                    flatten_too=wanted["flatten"],
                    now=now,
                )
            else:
                proposed = proposals.propose_or_apply(
                    ChangeKind.KILL_RELEASE,
                    target=str(scope),
                    after=scope.as_json(),
                    actor=request.auth.name,
                    reason=wanted["reason"],
                    now=now,
                )
                if proposed is not None:
                    return Response({"proposal": proposals.describe(proposed)}, 202)
        except ReasonRequired as e:
            raise reason_required() from e
        except NotReleasable as e:
            raise Problem(409, e.code, str(e)) from e
        return Response(selectors.system(list(request.auth.accounts)) | done)


class Flatten(APIView):
    """Closing what is held."""

    @extend_schema(
        operation_id="flatten", request=FlattenInput, responses={200: dict, 400: dict, 403: dict}
    )
    def post(self, request: ApiRequest) -> Response:
        """Close every position in the scope: cancels first, then closing orders, each reported."""
        request.auth.require(Scope.TRADE)
        form = FlattenInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = dict(form.validated_data)
        reason = wanted.pop("reason")
        scope = KillScope(**wanted)
        _require_account(request, scope)
        try:
            done = emergency.flatten(
                scope,
                accounts=request.auth.accounts,
                actor=request.auth.name,
                reason=reason,
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        return Response(done)


class BreakerReset(APIView):
    """Arming a circuit breaker again."""

    @extend_schema(
        operation_id="reset_breaker",
        request=ReasonInput,
        responses={200: dict, 400: dict, 403: dict, 404: dict},
    )
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Arm a breaker that has tripped; one that still reads past its threshold trips again."""
        request.auth.require(Scope.CONTROL)
        form = ReasonInput(data=request.data)
        form.is_valid(raise_exception=True)
        ours = Q(connection=None) | Q(connection__name__in=list(request.auth.accounts))
        row = get_object_or_404(Breaker.objects.filter(ours), pk=pk)
        try:
            breaker_watch.reset(
                row.pk,
                actor=request.auth.name,
                reason=form.validated_data["reason"],
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        return Response(selectors.system(list(request.auth.accounts)))


def _require_account(request: ApiRequest, scope: KillScope) -> None:
    if scope.account is not None and scope.account not in request.auth.accounts:
        errors = [{"field": "account", "code": "unknown_account", "detail": "no such account"}]
        raise Problem(400, "invalid", "account: no such account", errors)


class Mode(APIView):
    """The system mode."""

    @extend_schema(
        operation_id="set_mode", request=ModeInput, responses={200: dict, 400: dict, 403: dict}
    )
    def post(self, request: ApiRequest) -> Response:
        """Set the system mode."""
        request.auth.require(Scope.CONTROL)
        form = ModeInput(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        try:
            proposed = proposals.propose_or_apply(
                ChangeKind.MODE,
                target="system",
                after={"mode": wanted["mode"]},
                actor=request.auth.name,
                reason=wanted["reason"],
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise reason_required() from e
        if proposed is not None:
            return Response({"proposal": proposals.describe(proposed)}, 202)
        return Response(selectors.system(list(request.auth.accounts)))


def reason_required() -> Problem:
    """Return the answer to a change without a reason."""
    errors = [{"field": "reason", "code": "required", "detail": "a reason is needed"}]
    return Problem(400, "invalid", "reason: a reason is needed", errors)
