"""Positions, PnL, Greeks and option chains."""

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.http import ApiRequest
from execution_site.listing import answer_list, parameters, parse_day
from portfolio import chain, greeks, history, selectors

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


class Greeks(APIView):
    """Greeks."""

    @extend_schema(operation_id="get_greeks", responses={200: dict, 400: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return the Greeks of what is held: per position, summed, and what is not valued.

        `account`, `strategy` and `underlying` narrow it. Sums are per currency; each figure has
        the age of the oldest quote it rests on.
        """
        asked = parameters(request, {"account", "strategy", "underlying"})
        accounts = [a for a in request.auth.accounts if asked.get("account") in (None, a)]
        found = [
            position
            for position in greeks.held(accounts)
            if asked.get("strategy") in (None, position.strategy)
            and asked.get("underlying")
            in (None, position.instrument.underlying or position.instrument.symbol)
        ]
        return Response(greeks.describe(found, now=timezone.now()))


class OptionChain(APIView):
    """The options on one underlying."""

    @extend_schema(operation_id="get_option_chain", responses={200: dict, 400: dict, 404: dict})
    def get(self, request: ApiRequest, underlying: str) -> Response:
        """Return the expiries, and the strikes of `expiry` (the nearest without it)."""
        expiry = parse_day(parameters(request, {"expiry"}).get("expiry"), name="expiry")
        found = chain.describe(underlying, expiry=expiry, now=timezone.now())
        if found is None:
            raise Http404
        return Response(found)
