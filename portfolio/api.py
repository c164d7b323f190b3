"""Positions and PnL."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.http import ApiRequest
from execution_site.listing import answer_list, parameters, parse_day
from portfolio import history, selectors

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


class PnlHistory(APIView):
    """PnL and exposure of one account, minute by minute."""

    @extend_schema(operation_id="get_pnl_history", responses={200: dict, 400: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return an account's trading day by minutes, oldest first; the latest day without `day`.

        Amounts are since the account began; `base` is the PnL at the end of the day before, so that
        `total_pnl` less `base` is the day's.
        """
        asked = parameters(request, {"account", "currency", "day"})
        day = parse_day(asked.get("day"))
        accounts = [a for a in request.auth.accounts if asked.get("account") in (None, a)]
        points = list(history.of_day(accounts, day=day))
        return Response({"results": list(selectors.describe_days(points, asked.get("currency")))})


class Pnl(APIView):
    """PnL."""

    @extend_schema(operation_id="get_pnl", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return PnL by currency: in total, by account, strategy, symbol and trading day."""
        accounts = request.auth.accounts
        made = selectors.pnl(list(selectors.positions(accounts)))
        return Response(made | {"by_day": selectors.pnl_by_day(accounts)})
