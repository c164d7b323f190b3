"""What was asked of many orders or positions at once, and how it goes."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from execution_site.floor.audit import ReasonRequired
from execution_site.rest import parameters
from execution_site.rest.http import ApiRequest, Problem
from execution_site.rest.idempotency import keyed, once
from execution_site.rest.listing import PAGING, ApiView
from orders.api.fields import StrictSerializer, SymbolText, Text
from orders.api.serializers import Flag
from orders.control import mass_actions, scopes
from orders.models import MassAction
from orders.models.mass_action import Progress
from risk.kills import TradingScope

FILTERS = {
    "kind": parameters.one_of(MassAction.Kind, "kind"),
    "status": parameters.one_of(Progress, "status"),
    "since": parameters.moment("asked_at__gte"),
    "until": parameters.moment("asked_at__lt"),
    **PAGING,
}


class KillScopeInput(StrictSerializer):
    """What a kill is about; what is absent narrows nothing. Names are matched exactly."""

    account = Text(max_length=64, required=False, allow_null=True)
    strategy = Text(max_length=64, required=False, allow_null=True)
    symbol = SymbolText(max_length=64, required=False, allow_null=True)


class ScopeInput(KillScopeInput):
    """What a cancel or a flatten is about.

    A strategy that has never traded is refused without `allow_unknown`.
    """

    allow_unknown = Flag(default=False)


class ReasonInput(StrictSerializer):
    """The body of what needs a reason alone."""

    reason = Text(max_length=500)


class ActionList(ApiView):
    """Actions on many."""

    query = FILTERS

    @extend_schema(operation_id="list_actions", responses={200: dict, 400: dict})
    def get(self, request: ApiRequest) -> Response:
        """List what was cancelled and flattened in your accounts, newest first."""
        return self.answer_list(_visible(request), mass_actions.brief)


class ActionDetail(ApiView):
    """One action."""

    @extend_schema(operation_id="get_action", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return an action: what it found, what came of each order and position, what is left."""
        return Response(mass_actions.describe(get_object_or_404(_visible(request), pk=pk)))


class ActionWithdraw(ApiView):
    """Ending an action that is not done."""

    @extend_schema(
        operation_id="withdraw_action",
        request=ReasonInput,
        responses={200: dict, 400: dict, 403: dict, 404: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """End an action: what it has sent works on, nothing more is sent."""
        form = ReasonInput(data=request.data)
        form.is_valid(raise_exception=True)
        get_object_or_404(_visible(request), pk=pk)
        actor, reason = request.auth.name, form.validated_data["reason"]
        try:
            with once():
                mass_actions.withdraw(pk, actor=actor, reason=reason, now=timezone.now())
        except mass_actions.NotWithdrawable as e:
            raise Problem(409, e.code, str(e)) from e
        except ReasonRequired as e:
            raise reason_required() from e
        return self.state(request, None, pk)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the action as it is now."""
        return Response(mass_actions.describe(get_object_or_404(_visible(request), pk=pk)))


def known_scope(request: ApiRequest, values: Mapping[str, Any] | None) -> TradingScope:
    """Return the scope that a body names.

    :raises Problem: it names something that does not exist
    """
    given = dict(values or {})
    allow_unknown = given.pop("allow_unknown", False)
    scope = TradingScope(**given)
    try:
        scopes.check(scope, accounts=request.auth.accounts, allow_unknown=allow_unknown)
    except scopes.UnknownScope as e:
        raise Problem(400, "invalid", str(e), e.errors) from e
    return scope


def action_answer(action: MassAction) -> Response:
    """Return an action as the answer to who asked for it: 202 while something is left."""
    status = 202 if action.status == Progress.WORKING else 200
    headers = {"Location": f"/api/v1/actions/{action.pk}"}
    return Response(mass_actions.describe(action), status, headers=headers)


def action_made(made: int) -> MassAction:
    """Return the action that a request made, as it is now."""
    return MassAction.objects.select_related("connection", "kill").get(pk=made)


def reason_required() -> Problem:
    """Return the answer to a change without a reason."""
    errors = [{"field": "reason", "code": "required", "detail": "a reason is needed"}]
    return Problem(400, "invalid", "reason: a reason is needed", errors)


def _visible(request: ApiRequest) -> QuerySet[MassAction]:
    rows: QuerySet[MassAction] = mass_actions.visible(request.auth.accounts)
    return rows
