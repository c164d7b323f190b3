"""The system's switches, for those who may move them."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.audit import ReasonRequired
from execution_site.http import ApiRequest, Problem
from orders import selectors, services
from orders.clients import Scope
from orders.fields import StrictSerializer, Text
from orders.serializers import Choice, Flag, Unsupported
from risk import control
from risk.checks import KillLevel, SystemMode


class ScopeInput(StrictSerializer):
    """What a kill is about; this build has the whole alone."""

    account = Unsupported(required=False, allow_null=True)
    strategy = Unsupported(required=False, allow_null=True)
    symbol = Unsupported(required=False, allow_null=True)


class KillInput(StrictSerializer):
    """The body of POST /system/kill-switch."""

    active = Flag()
    scope = ScopeInput(required=False, allow_null=True)
    level = Choice(choices=[level.value for level in KillLevel], default=KillLevel.HALTED.value)
    cancel_open = Flag(default=False)
    flatten = Unsupported(required=False, allow_null=True)
    reason = Text(max_length=500)


class ModeInput(StrictSerializer):
    """The body of POST /system/mode."""

    mode = Choice(choices=[mode.value for mode in SystemMode])
    reason = Text(max_length=500)

    def validate_mode(self, value: str) -> SystemMode:
        """Refuse what this build does not have."""
        if value == SystemMode.SUPERVISED:
            raise serializers.ValidationError("not supported by this build", code="unsupported")
        return SystemMode(value)


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
        cancelled = []
        try:
            if wanted["active"]:
                cancelled = services.kill(
                    level=KillLevel(wanted["level"]),
                    actor=request.auth.name,
                    reason=wanted["reason"],
                    cancel_accounts=list(request.auth.accounts) if wanted["cancel_open"] else [],
                    now=now,
                )
            else:
                control.release_kill(actor=request.auth.name, reason=wanted["reason"], now=now)
        except ReasonRequired as e:
            raise _reason_required() from e
        answer = selectors.system(list(request.auth.accounts))
        return Response(answer | {"cancelled": cancelled})


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
            control.set_system_mode(
                wanted["mode"],
                actor=request.auth.name,
                reason=wanted["reason"],
                now=timezone.now(),
            )
        except ReasonRequired as e:
            raise _reason_required() from e
        return Response(selectors.system(list(request.auth.accounts)))


def _reason_required() -> Problem:
    errors = [{"field": "reason", "code": "required", "detail": "a reason is needed"}]
    return Problem(400, "invalid", "reason: a reason is needed", errors)
