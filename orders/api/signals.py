"""POST and GET /signals."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from execution_site.rest import parameters
from execution_site.rest.http import CONTENT_TYPE, ApiRequest, Problem
from execution_site.rest.idempotency import keyed
from execution_site.rest.listing import PAGING, ApiView
from orders.api.authentication import Principal
from orders.api.fields import NothingInput, StrictSerializer, Text
from orders.api.serializers import SignalInput
from orders.intake import approve, submit_signal
from orders.intake.approve import NotWaiting
from orders.intake.recording import StoredAnswer
from orders.intake.requests import IdempotencyConflict, InvalidSignal, SignalRequest
from orders.models import Action, SignalStatus
from orders.payloads import EXECUTED, refusal_problem
from orders.reports import selectors
from risk.four_eyes import SamePerson

FILTERS = {
    "account": parameters.account("connection__name"),
    "strategy": parameters.text("strategy"),
    "symbol": parameters.text("instrument__symbol"),
    "status": parameters.one_of([*SignalStatus, EXECUTED], selectors.of_shown_status),
    "since": parameters.moment("received_at__gte"),
    "until": parameters.moment("received_at__lt"),
    **PAGING,
}
PASSED_ON = (
    "signal_id",
    "strategy",
    "symbol",
    "quantity",
    "order_type",
    "limit_price",
    "stop_price",
    "time_in_force",
    "expires_at",
    "reduce_only",
    "post_only",
    "reference_price",
    "generated_at",
    "valid_until",
)
OPTIONAL_TEXT = ("correlation_id", "reason", "tag", "product", "exchange", "timeframe")
FORM = SignalInput()  # it validates without keeping anything: one serves every request
EXAMPLE = {
    "signal_id": "ema/AAPL/2026-11-20T09:20",
    "strategy": "ema_20_50",
    "account": "paper",
    "symbol": "AAPL",
    "action": "BUY",
    "quantity": "10",
    "order_type": "LIMIT",
    "limit_price": "228.50",
}


class SignalList(ApiView):
    """Signals."""

    query = FILTERS

    @extend_schema(
        operation_id="submit_signal",
        request=SignalInput,
        responses={202: dict, 200: dict, 400: dict, 401: dict, 403: dict, 409: dict, 422: dict},
        examples=[OpenApiExample("A limit order", value=EXAMPLE, request_only=True)],
    )
    def post(self, request: ApiRequest) -> HttpResponse:
        """Submit a signal: 202 when its order is queued, 422 when risk refused it."""
        return answer(answered_once(_submit, request))

    @extend_schema(operation_id="list_signals", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List signals with their decisions, newest first."""
        rows = selectors.signals(request.auth.accounts)
        return self.answer_list(rows, selectors.describe_signal)


class SignalDetail(ApiView):
    """One signal."""

    @extend_schema(operation_id="get_signal", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return a signal with its decision."""
        signal = get_object_or_404(selectors.signals(request.auth.accounts), pk=pk)
        return Response(selectors.describe_signal(signal))


class SignalApprove(ApiView):
    """Approving a signal that waits (SUPERVISED)."""

    @extend_schema(
        operation_id="approve_signal",
        request=NothingInput,
        responses={202: dict, 403: dict, 404: dict, 409: dict, 422: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Judge it again, all checks, and queue its order: 202, or 422 where risk now refuses."""
        NothingInput(data=request.data).is_valid(raise_exception=True)
        signal = get_object_or_404(selectors.signals(request.auth.accounts), pk=pk)
        form = SignalInput(data=signal.body)
        form.is_valid(raise_exception=True)
        asked = _request(form.validated_data, account=signal.connection.name, body=signal.body)
        try:
            signal, verdict, order = approve.approve(
                asked, pk, actor=request.auth.actor, now=timezone.now()
            )
        except SamePerson as e:
            raise Problem(403, e.code, str(e)) from e
        except NotWaiting as e:
            raise Problem(409, e.code, str(e)) from e
        answer = {
            "signal": selectors.describe_signal(signal),
            "decision": verdict.as_json(),
            "order": None if order is None else selectors.describe_order(order),
        }
        if verdict.refused:
            refused = Response(refusal_problem(verdict) | answer, 422)
            refused.content_type = CONTENT_TYPE
            return refused
        return Response(answer, 202)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the signal as it is now."""
        return _signal_now(request, pk)


class DeclineInput(StrictSerializer):
    """Why a signal is declined."""

    reason = Text(max_length=500)


class SignalDecline(ApiView):
    """Declining a signal that waits (SUPERVISED)."""

    @extend_schema(
        operation_id="decline_signal",
        request=DeclineInput,
        responses={200: dict, 400: dict, 403: dict, 404: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Decline a signal, with a reason."""
        form = DeclineInput(data=request.data)
        form.is_valid(raise_exception=True)
        get_object_or_404(selectors.signals(request.auth.accounts), pk=pk)
        try:
            signal = approve.decline(
                pk,
                actor=request.auth.name,
                reason=form.validated_data["reason"],
                now=timezone.now(),
            )
        except NotWaiting as e:
            raise Problem(409, e.code, str(e)) from e
        return Response(selectors.describe_signal(signal))

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the signal as it is now."""
        return _signal_now(request, pk)


def _signal_now(request: ApiRequest, pk: int) -> Response:
    signal = get_object_or_404(selectors.signals(request.auth.accounts), pk=pk)
    return Response(selectors.describe_signal(signal))


def _submit(body: Mapping[str, Any], principal: Principal) -> StoredAnswer:
    values = FORM.run_validation(body)
    account = account_of(values.get("account"), principal)
    signal = _request(values, account=account, body=body)
    return submit_signal.submit_signal(signal, client=principal.client, now=timezone.now())


def answered_once(
    record: Callable[[Mapping[str, Any], Principal], StoredAnswer], request: ApiRequest
) -> StoredAnswer:
    """Return the answer to a signal or group; whatever refuses it, its key is looked at first.

    :raises Problem: it is refused, and its key has not been used; or was, with another body
    """
    if not isinstance(request.data, Mapping):
        raise Problem(400, "invalid", "A JSON object is expected.")
    try:
        try:
            return record(request.data, request.auth)
        except (InvalidSignal, Problem, ValidationError):
            stored = submit_signal.answered_before(request.data, client=request.auth.client)
            if stored is None:
                raise
            return stored
    except InvalidSignal as e:
        raise Problem(400, "invalid", str(e), e.errors) from e
    except IdempotencyConflict as e:
        raise conflict() from e


def _request(values: Mapping[str, Any], *, account: str, body: Mapping[str, Any]) -> SignalRequest:
    """Return a validated body as what intake takes."""
    passed_on: dict[str, Any] = {name: values[name] for name in PASSED_ON if name in values}
    passed_on |= {name: values.get(name) or "" for name in OPTIONAL_TEXT}
    return SignalRequest(
        account=account, action=Action(values["action"]), body=dict(body), **passed_on
    )


def conflict() -> Problem:
    """Return what a key that was used with another body gets."""
    detail = "This key was used before, with another body."
    errors = [{"field": "signal_id", "code": "idempotency_conflict", "detail": detail}]
    return Problem(409, "idempotency_conflict", detail, errors)


def answer(outcome: StoredAnswer) -> HttpResponse:
    """Return the stored answer, to the byte."""
    kind = CONTENT_TYPE if outcome.status >= 400 else "application/json"
    response = HttpResponse(outcome.body, status=outcome.status, content_type=kind)
    if outcome.order_id is not None:
        response["Location"] = f"/api/v1/orders/{outcome.order_id}"
    if outcome.replayed:
        response["Idempotent-Replayed"] = "true"
    return response


def account_of(named: str | None, principal: Principal) -> str:
    """Return the account; what the client may not use does not exist for it."""
    accounts = principal.accounts
    if named is None:
        if len(accounts) == 1:
            return next(iter(accounts))
        code, detail = "required", "say which account"
    elif named in accounts:
        return named
    else:
        code, detail = "unknown_account", "no such account"
    errors = [{"field": "account", "code": code, "detail": detail}]
    raise Problem(400, "invalid", f"account: {detail}", errors)
