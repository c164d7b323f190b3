"""Orders, their cancels, fills and executions."""

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.http import ApiRequest, Problem
from execution_site.listing import answer_list
from orders import selectors, services
from orders.clients import Scope
from orders.fields import StrictSerializer, Text
from orders.services import NotCancellable

FILTERS = {
    "account": "connection__name",
    "strategy": "strategy",
    "symbol": "instrument__symbol",
    "status": "status",
    "since": "created_at__gte",
    "until": "created_at__lt",
}
FILL_FILTERS = {
    "account": "connection__name",
    "strategy": "strategy",
    "symbol": "instrument__symbol",
    "order": "order_id",
    "since": "traded_at__gte",
    "until": "traded_at__lt",
}


class CancelAllInput(StrictSerializer):
    """Which orders to cancel; what is absent narrows nothing."""

    account = Text(max_length=64, required=False, allow_null=True)
    strategy = Text(max_length=64, required=False, allow_null=True)
    symbol = Text(max_length=64, required=False, allow_null=True)


class NothingInput(StrictSerializer):
    """An empty object."""


class OrderList(APIView):
    """Orders."""

    @extend_schema(operation_id="list_orders", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List orders, newest first."""
        rows = selectors.orders(request.auth.accounts)
        return answer_list(request, rows, FILTERS, selectors.describe_order)


class OrderDetail(APIView):
    """One order."""

    @extend_schema(operation_id="get_order", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return an order with its fills and its log."""
        order = get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        fills = selectors.fills(request.auth.accounts).filter(order=order).order_by("pk")
        return Response(
            selectors.describe_order(order)
            | {
                "fills": [selectors.describe_fill(fill) for fill in fills],
                "log": selectors.order_log(order),
            }
        )


class OrderCancel(APIView):
    """Cancelling one order."""

    @extend_schema(
        operation_id="cancel_order",
        request=NothingInput,
        responses={202: dict, 404: dict, 409: dict},
    )
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Cancel an order: at once before any send, else by asking its venue."""
        request.auth.require(Scope.TRADE)
        NothingInput(data=request.data or {}).is_valid(raise_exception=True)
        get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        try:
            order = services.request_cancel(pk, actor=request.auth.name, now=timezone.now())
        except NotCancellable as e:
            raise Problem(409, e.code, str(e)) from e
        return Response(selectors.describe_order(order), 202)


class OrderCancelAll(APIView):
    """Cancelling many orders."""

    @extend_schema(operation_id="cancel_all", request=CancelAllInput, responses={200: dict})
    def post(self, request: ApiRequest) -> Response:
        """Cancel every open order, or those of one account, strategy or symbol."""
        request.auth.require(Scope.TRADE)
        form = CancelAllInput(data=request.data or {})
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        accounts = [
            name
            for name in request.auth.accounts
            if wanted.get("account") is None or name == wanted["account"]
        ]
        results = services.cancel_all(
            accounts=accounts,
            strategy=wanted.get("strategy"),
            symbol=wanted.get("symbol"),
            actor=request.auth.name,
            now=timezone.now(),
        )
        return Response({"results": results})


class FillList(APIView):
    """Fills."""

    @extend_schema(operation_id="list_fills", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List fills, newest first."""
        if not (request.query_params.get("order") or "0").isdigit():
            errors = [{"field": "order", "code": "invalid", "detail": "an order's id"}]
            raise Problem(400, "invalid", "order: an id is expected", errors)
        rows = selectors.fills(request.auth.accounts)
        return answer_list(request, rows, FILL_FILTERS, selectors.describe_fill)


class ExecutionList(APIView):
    """Executions."""

    @extend_schema(operation_id="list_executions", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List execution confirmations, newest first."""
        rows = selectors.orders(request.auth.accounts)
        return answer_list(request, rows, FILTERS, selectors.execution)


class ExecutionDetail(APIView):
    """One execution."""

    @extend_schema(operation_id="get_execution", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return the execution confirmation of an order."""
        order = get_object_or_404(selectors.orders(request.auth.accounts), pk=pk)
        return Response(selectors.execution(order))
