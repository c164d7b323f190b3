"""Orders, their cancels, fills and executions."""

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from execution_site.rest import parameters
from execution_site.rest.http import CONTENT_TYPE, ApiRequest, Problem
from execution_site.rest.idempotency import keyed
from execution_site.rest.listing import PAGING, ApiView
from orders.api.actions import ScopeInput, action_answer, action_made, known_scope
from orders.api.fields import ExactDecimal, NothingInput, StrictSerializer
from orders.api.serializers import Unsupported
from orders.control import emergency
from orders.control.emergency import NotCancellable
from orders.intake import modify
from orders.intake.modify import InvalidTerms, NotModifiable, ReplacementRefused, VersionConflict
from orders.judging import closing
from orders.lifecycle import OrderStatus, PendingAction
from orders.payloads import refusal_problem
from orders.reports import selectors

FILTERS = {
    "account": parameters.account("connection__name"),
    "strategy": parameters.text("strategy"),
    "symbol": parameters.text("instrument__symbol"),
    "status": parameters.one_of(OrderStatus, "status"),
    "since": parameters.moment("created_at__gte"),
    "until": parameters.moment("created_at__lt"),
    **PAGING,
}
FILL_FILTERS = {
    "account": parameters.account("connection__name"),
    "strategy": parameters.text("strategy"),
    "symbol": parameters.text("instrument__symbol"),
    "order": parameters.row_id("order_id"),
    "since": parameters.moment("traded_at__gte"),
    "until": parameters.moment("traded_at__lt"),
    **PAGING,
}


class CancelAllInput(ScopeInput):
    """Which orders to cancel; what is absent narrows nothing."""


class OrderList(ApiView):
    """Orders."""

    query = FILTERS

    @extend_schema(operation_id="list_orders", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List orders, newest first."""
        rows = selectors.orders(request.auth.accounts)
        return self.answer_list(rows, selectors.describe_order)


class OrderDetail(ApiView):
    """One order."""

    @extend_schema(operation_id="get_order", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return an order with its fills, its log and each attempt to send it.

        `closes`: where it closes a position, how far that has come and what is left.
        """
        order = get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        booked = selectors.fills(request.auth.accounts).filter(order=order)
        fills = booked.order_by("traded_at", "sequence", "venue_trade_id", "side")
        return Response(
            selectors.describe_order(order)
            | {
                "fills": [selectors.describe_fill(fill) for fill in fills],
                "log": selectors.order_log(order),
                "attempts": selectors.order_attempts(order),
                "closes": [closing.describe(close) for close in closing.of_order(order)],
            },
            headers={"ETag": modify.version(order)},
        )


class OrderCancel(ApiView):
    """Cancelling one order."""

    is_urgent = True

    @extend_schema(
        operation_id="cancel_order",
        request=NothingInput,
        responses={202: dict, 404: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Cancel an order: at once before any send, else by asking its venue."""
        NothingInput(data=request.data).is_valid(raise_exception=True)
        get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        try:
            order = emergency.request_cancel(pk, actor=request.auth.name, now=timezone.now())
        except NotCancellable as e:
            raise Problem(409, e.code, str(e)) from e
        return Response(selectors.describe_order(order), 202)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the order as it is now."""
        return _order_now(request, pk)


class ModifyInput(StrictSerializer):
    """What to change; what is absent stays."""

    quantity = ExactDecimal(required=False, allow_null=True)
    limit_price = ExactDecimal(required=False, allow_null=True)
    stop_price = ExactDecimal(required=False, allow_null=True)
    stop_loss = Unsupported(required=False, allow_null=True)
    take_profit = Unsupported(required=False, allow_null=True)


class OrderModify(ApiView):
    """Modifying one order."""

    @extend_schema(
        operation_id="modify_order",
        request=ModifyInput,
        responses={200: dict, 202: dict, 400: dict, 404: dict, 409: dict, 412: dict, 422: dict},
    )
    @keyed
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Give an order other terms: 200 when it has them, 202 when its venue is asked.

        With `If-Match` only the version that the order's ETag named is modified (412 otherwise).
        """
        form = ModifyInput(data=request.data)
        form.is_valid(raise_exception=True)
        get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        given = {name: form.validated_data.get(name) for name in modify.TERM_FIELDS}
        try:
            order = modify.request_replace(
                pk,
                modify.Changes(**given),
                actor=request.auth.name,
                now=timezone.now(),
                expected=_expected(request),
            )
        except NotModifiable as e:
            raise Problem(409, e.code, str(e)) from e
        except VersionConflict as e:
            raise Problem(412, "version_conflict", str(e)) from e
        except InvalidTerms as e:
            raise Problem(400, "invalid", str(e), e.errors) from e
        except ReplacementRefused as e:
            return _refused(e)
        waits = order.pending_action == PendingAction.REPLACE
        headers = {"ETag": modify.version(order)}
        return Response(selectors.describe_order(order), 202 if waits else 200, headers=headers)

    def state(self, request: ApiRequest, made: int | None, pk: int) -> Response:
        """Return the order as it is now."""
        return _order_now(request, pk)


def _expected(request: ApiRequest) -> list[str] | None:
    """Return the versions that `If-Match` names (RFC 9110, 13.1.1), None where any will do."""
    if (header := request.headers.get("If-Match")) is None:
        return None
    versions = parse_etags(header)
    return None if versions == ["*"] else versions


def _order_now(request: ApiRequest, pk: int) -> Response:
    order = get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
    headers = {"ETag": modify.version(order)}
    return Response(selectors.describe_order(order), 202, headers=headers)


def _refused(refused: ReplacementRefused) -> Response:
    """Return the verdict as a refused signal gets it."""
    problem = refusal_problem(refused.verdict)
    answer = Response(problem | {"decision": refused.verdict.as_json()}, 422)
    answer.content_type = CONTENT_TYPE
    return answer


class OrderCancelAll(ApiView):
    """Cancelling many orders."""

    is_urgent = True

    @extend_schema(
        operation_id="cancel_all",
        request=CancelAllInput,
        responses={200: dict, 202: dict, 400: dict, 409: dict},
    )
    @keyed
    def post(self, request: ApiRequest) -> Response:
        """Cancel every open order, or those of one account, strategy or symbol.

        200 when all have ended, 202 while some are being cancelled: /actions/{id} says how it goes.
        """
        form = CancelAllInput(data=request.data)
        form.is_valid(raise_exception=True)
        scope = known_scope(request, form.validated_data)
        action = emergency.cancel_all(
            scope, accounts=request.auth.accounts, actor=request.auth.name, now=timezone.now()
        )
        return action_answer(action)

    def state(self, request: ApiRequest, made: int) -> Response:
        """Return what was begun, as it is now."""
        return action_answer(action_made(made))


class FillList(ApiView):
    """Fills."""

    query = FILL_FILTERS

    @extend_schema(operation_id="list_fills", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List fills, newest first."""
        rows = selectors.fills(request.auth.accounts)
        return self.answer_list(rows, selectors.describe_fill)


class ExecutionList(ApiView):
    """Executions."""

    query = FILTERS

    @extend_schema(operation_id="list_executions", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List execution confirmations, newest first."""
        rows = selectors.orders(request.auth.accounts)
        return self.answer_list(rows, selectors.execution)


class ExecutionDetail(ApiView):
    """One execution."""

    @extend_schema(operation_id="get_execution", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return the execution confirmation of an order."""
        order = get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        return Response(selectors.execution(order))
