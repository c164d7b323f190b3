"""Positions, PnL, Greeks and option chains."""

from collections.abc import Mapping
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from brokers import clocks
from execution_site.rest import parameters
from execution_site.rest.http import ApiRequest, Problem
from execution_site.rest.listing import PAGING, ApiView
from portfolio import chain, greeks, history, selectors

FILTERS = {
    "account": parameters.account("connection__name"),
    "strategy": parameters.text("strategy"),
    "symbol": parameters.text("instrument__symbol"),
}


def _accounts(request: ApiRequest, asked: Mapping[str, Any]) -> list[str]:
    """Return the account that is asked for, or all of the client's."""
    return [asked["account"]] if "account" in asked else list(request.auth.accounts)


class PositionList(ApiView):
    """Positions."""

    query = {**FILTERS, **PAGING}

    @extend_schema(operation_id="list_positions", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List positions at their marks, newest first."""
        traded = selectors.positions(request.auth.accounts).filter(folded_at__isnull=False)
        return self.answer_list(traded, selectors.describe)


class PositionDetail(ApiView):
    """One position."""

    @extend_schema(operation_id="get_position", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, pk: int) -> Response:
        """Return a position at its mark."""
        position = get_object_or_404(selectors.positions(request.auth.accounts), pk=pk)
        return Response(selectors.describe(position))


class PnlHistory(ApiView):
    """PnL and exposure of one account, minute by minute."""

    query = {
        "account": parameters.account(),
        "currency": parameters.text(),
        "day": parameters.day(),
    }

    @extend_schema(operation_id="get_pnl_history", responses={200: dict, 400: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return an account's trading day by minutes, oldest first; the latest day without `day`.

        Amounts are since the account began; `base` is the PnL at the end of the day before, so that
        `total_pnl` less `base` is the day's.
        """
        asked = self.asked
        points = list(history.of_day(_accounts(request, asked), day=asked.get("day")))
        return Response({"results": list(selectors.describe_days(points, asked.get("currency")))})


class Pnl(ApiView):
    """PnL."""

    query = FILTERS | {"day": parameters.day()}

    @extend_schema(operation_id="get_pnl", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return PnL by currency: in total, by account, strategy, symbol and trading day.

        Amounts are since the accounts began; with `day`, of that trading day. What a day has made
        is kept by account: by strategy and symbol it is not known (null), and `day` is refused
        beside them. Replayed accounts have their own rows and, unless one is asked for, are in no
        other.
        """
        asked, accounts = self.asked, _accounts(request, self.asked)
        apart = () if "account" in asked else frozenset(clocks.replayed())
        narrowed = [name for name in ("strategy", "symbol") if name in asked]
        if "day" in asked:
            if narrowed:
                detail = "what a day has made is kept by account alone"
                errors = [{"field": n, "code": "unsupported", "detail": detail} for n in narrowed]
                raise Problem(400, "unsupported", f"day: {detail}", errors)
            return Response(selectors.pnl_of_day(accounts, day=asked["day"], apart=apart))
        held = selectors.positions(accounts)
        for name in narrowed:
            held = held.filter(**{str(FILTERS[name].lookup): asked[name]})
        days = None if narrowed else selectors.pnl_by_day(accounts)
        return Response(selectors.pnl(list(held), apart=apart) | {"by_day": days})


class Greeks(ApiView):
    """Greeks."""

    query = {
        "account": parameters.account(),
        "strategy": parameters.text(),
        "underlying": parameters.text(),
    }

    @extend_schema(operation_id="get_greeks", responses={200: dict, 400: dict})
    def get(self, request: ApiRequest) -> Response:
        """Return the Greeks of what is held: per position, summed, and what is not valued.

        `account`, `strategy` and `underlying` narrow it. Sums are per currency; each figure has
        the age of the oldest quote it rests on.
        """
        asked = self.asked
        found = [
            position
            for position in greeks.held(_accounts(request, asked))
            if asked.get("strategy") in (None, position.strategy)
            and asked.get("underlying")
            in (None, position.instrument.underlying or position.instrument.symbol)
        ]
        return Response(greeks.describe(found, now=timezone.now()))


class OptionChain(ApiView):
    """The options on one underlying."""

    query = {"expiry": parameters.day()}

    @extend_schema(operation_id="get_option_chain", responses={200: dict, 400: dict, 404: dict})
    def get(self, request: ApiRequest, underlying: str) -> Response:
        """Return the expiries, and the strikes of `expiry` (the nearest without it)."""
        found = chain.describe(underlying, expiry=self.asked.get("expiry"), now=timezone.now())
        if found is None:
            raise Http404
        return Response(found)
