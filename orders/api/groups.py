"""Groups: several orders that are one decision."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from brokers.contract import OrderType, Side
from execution_site.rest import parameters
from execution_site.rest.http import ApiRequest, Problem
from execution_site.rest.idempotency import keyed
from execution_site.rest.listing import PAGING, ApiView
from orders.api.authentication import Principal
from orders.api.fields import ExactDecimal, StrictSerializer, SymbolText, Text
from orders.api.serializers import Choice, Metadata, Moment, StrategyName, Unsupported, choices
from orders.api.signals import account_of, answer, answered_once
from orders.group_states import GroupStatus, GroupType, OnLegFailure
from orders.groups import advance, view
from orders.groups.advance import NotExitable
from orders.groups.shapes import MOST_LEGS
from orders.intake import submit_group
from orders.intake.group_legs import GroupRequest, LegRequest
from orders.intake.recording import StoredAnswer
from risk import control
from risk.facts import SystemMode

FILTERS = {
    "account": parameters.account("connection__name"),
    "strategy": parameters.text("strategy"),
    "status": parameters.one_of(GroupStatus, "status"),
    "type": parameters.one_of(GroupType, "type"),
    "since": parameters.moment("created_at__gte"),
    "until": parameters.moment("created_at__lt"),
    **PAGING,
}
LONGEST_TIMEOUT = 3_600
EXAMPLE = {
    "signal_id": "condor/NIFTY/2026-11-20",
    "strategy": "weekly_condor",
    "account": "paper",
    "type": "IRON_CONDOR",
    "legs": [
        {"symbol": "NIFTY28NOV2623500PE", "action": "BUY", "quantity": "65"},
        {"symbol": "NIFTY28NOV2623750PE", "action": "SELL", "quantity": "65"},
        {"symbol": "NIFTY28NOV2624250CE", "action": "SELL", "quantity": "65"},
        {"symbol": "NIFTY28NOV2624500CE", "action": "BUY", "quantity": "65"},
    ],
    "policy": {"on_leg_failure": "UNWIND", "leg_timeout_seconds": 30},
}


class LegInput(StrictSerializer):
    """One leg."""

    symbol = SymbolText(max_length=64)
    action = Choice(choices=choices(Side))
    quantity = ExactDecimal()
    order_type = Choice(
        choices=[OrderType.MARKET.value, OrderType.LIMIT.value], default=OrderType.MARKET.value
    )
    limit_price = ExactDecimal(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what depends on more than one field."""
        errors, price = {}, attrs.get("limit_price")
        is_limit = attrs["order_type"] == OrderType.LIMIT
        if attrs["quantity"] <= 0:
            errors["quantity"] = "the quantity must be positive"
        if is_limit and (price is None or price <= 0):
            errors["limit_price"] = "LIMIT needs a positive limit_price"
        if not is_limit and price is not None:
            errors["limit_price"] = "MARKET has no limit_price"
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


class PolicyInput(StrictSerializer):
    """What becomes of the whole when a leg is not filled."""

    on_leg_failure = Choice(choices=choices(OnLegFailure), default=OnLegFailure.UNWIND.value)
    leg_timeout_seconds = serializers.IntegerField(
        min_value=1, max_value=LONGEST_TIMEOUT, default=30
    )


class GroupInput(StrictSerializer):
    """The body of POST /groups."""

    signal_id = Text(max_length=128)
    strategy = StrategyName()
    account = Text(max_length=64, required=False, allow_null=True)
    type = Choice(choices=choices(GroupType))
    legs = serializers.ListField(child=LegInput(), min_length=2, max_length=MOST_LEGS)
    protect = Unsupported(required=False, allow_null=True)
    policy = PolicyInput(required=False, allow_null=True)
    generated_at = Moment(required=False, allow_null=True)
    valid_until = Moment(required=False, allow_null=True)
    correlation_id = Text(max_length=128, required=False, allow_null=True)
    reason = Text(max_length=500, required=False, allow_null=True)
    tag = Text(max_length=64, required=False, allow_null=True)
    metadata = Metadata(required=False, allow_null=True)


class ExitInput(StrictSerializer):
    """Why a group is closed."""

    reason = Text(max_length=200)


class GroupList(ApiView):
    """Groups."""

    query = FILTERS

    @extend_schema(
        operation_id="submit_group",
        request=GroupInput,
        responses={202: dict, 400: dict, 401: dict, 403: dict, 409: dict, 422: dict},
        examples=[OpenApiExample("An iron condor", value=EXAMPLE, request_only=True)],
    )
    def post(self, request: ApiRequest) -> HttpResponse:
        """Submit a group: 202 when all its legs passed risk, 422 when any was refused."""
        outcome = answered_once(_submit, request)
        response = answer(outcome)
        if outcome.group_id is not None:
            response["Location"] = f"/api/v1/groups/{outcome.group_id}"
        return response

    @extend_schema(operation_id="list_groups", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List groups with their orders, newest first."""
        rows = view.of_accounts(request.auth.accounts)
        return self.answer_list(rows, view.brief)


class GroupDetail(ApiView):
    """One group."""

    @extend_schema(operation_id="get_group", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return a group with its PnL, Greeks, net debit and extremes at expiry."""
        rows = view.of_accounts(request.auth.accounts)
        return Response(view.describe(get_object_or_404(rows, pk=pk)))


class GroupExit(ApiView):
    """Closing the whole of a group."""

    @extend_schema(
        operation_id="exit_group",
        request=ExitInput,
        responses={202: dict, 400: dict, 403: dict, 404: dict, 409: dict, 422: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Close all that a group holds: what works is cancelled, short legs are closed first.

        Asking twice is fine. Like any signal it is refused in GUIDE.
        """
        form = ExitInput(data=request.data)
        form.is_valid(raise_exception=True)
        rows = view.of_accounts(request.auth.accounts)
        group = get_object_or_404(rows, pk=pk)
        if control.current().mode == SystemMode.GUIDE:
            errors = [{"field": "system_mode", "code": "system_mode", "detail": "GUIDE"}]
            raise Problem(422, "risk_refused", "system_mode: the system is in GUIDE", errors)
        try:
            advance.request_exit(group.pk, reason=form.validated_data["reason"], now=timezone.now())
        except NotExitable as e:
            raise Problem(409, e.code, str(e)) from e
        return self.state(request, None, pk)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the group as it is now."""
        group = view.of_accounts(request.auth.accounts).get(pk=pk)
        return Response(view.describe(group), 202)


def _submit(body: Mapping[str, Any], principal: Principal) -> StoredAnswer:
    form = GroupInput(data=body)
    form.is_valid(raise_exception=True)
    values = form.validated_data
    account = account_of(values.get("account"), principal)
    wanted = _request(values, account=account, body=body)
    return submit_group.submit_group(wanted, client=principal.client, now=timezone.now())


def _request(values: Mapping[str, Any], *, account: str, body: Mapping[str, Any]) -> GroupRequest:
    """Return a validated body as what intake takes."""
    policy = values.get("policy") or {}
    if policy:
        policy = {
            "on_leg_failure": OnLegFailure(policy["on_leg_failure"]),
            "leg_timeout_seconds": policy["leg_timeout_seconds"],
        }
    legs = [
        LegRequest(
            symbol=leg["symbol"],
            side=Side(leg["action"]),
            quantity=leg["quantity"],
            order_type=OrderType(leg["order_type"]),
            limit_price=leg.get("limit_price"),
        )
        for leg in values["legs"]
    ]
    return GroupRequest(
        signal_id=values["signal_id"],
        strategy=values["strategy"],
        account=account,
        type=GroupType(values["type"]),
        legs=legs,
        body=dict(body),
        generated_at=values.get("generated_at"),
        valid_until=values.get("valid_until"),
        correlation_id=values.get("correlation_id") or "",
        reason=values.get("reason") or "",
        **policy,
    )
