"""Positions and PnL."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.http import ApiRequest
from execution_site.listing import answer_list
from portfolio import selectors

FILTERS = {
    "account": "connection__name",
    "strategy": "strategy",
    "symbol": "instrument__symbol",
}


class PositionList(APIView):
    """Positions."""

    @extend_schema(operation_id="list_positions", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List positions at their marks, newest first."""
        traded = selectors.positions(request.auth.accounts).filter(folded_at__isnull=False)
        return answer_list(request, traded, FILTERS, selectors.describe)


class PositionDetail(APIView):
    """One position."""

    @extend_schema(operation_id="get_position", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return a position at its mark."""
        position = get_object_or_404(selectors.positions(request.auth.accounts), pk=pk)
        return Response(selectors.describe(position))


class Pnl(APIView):
    """PnL."""

    @extend_schema(operation_id="get_pnl", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return PnL by currency: in total, by account, strategy and symbol."""
        return Response(selectors.pnl(list(selectors.positions(request.auth.accounts))))
