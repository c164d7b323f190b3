"""Instruments and quotes."""

from datetime import date
from typing import Any

from django.db.models import Max, Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from brokers.instruments.kinds import InstrumentKind, decimal_text, optional_text
from brokers.models import Bar, Instrument, Quote
from brokers.quotes import quote_json
from execution_site.rest import parameters
from execution_site.rest.http import ApiRequest
from execution_site.rest.listing import PAGING, ApiView

PRICES = ("open", "high", "low", "close")


def _searched(words: str) -> Q:
    return Q(symbol__icontains=words) | Q(description__icontains=words)


class InstrumentList(ApiView):
    """Instruments."""

    query = {
        "search": parameters.text(_searched),
        "kind": parameters.one_of(InstrumentKind, "kind"),
        **PAGING,
    }

    @extend_schema(operation_id="list_instruments", responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        """List instruments; `search` looks in symbol and description."""
        rows = Instrument.objects.prefetch_related("dated_terms")
        return self.answer_list(rows, describe)


class InstrumentDetail(ApiView):
    """One instrument."""

    @extend_schema(operation_id="get_instrument", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, symbol: str) -> Response:
        """Return an instrument."""
        return Response(describe(get_object_or_404(Instrument, symbol=symbol)))


class QuoteDetail(ApiView):
    """One quote."""

    @extend_schema(operation_id="get_quote", responses={200: dict, 404: dict})
    def get(self, request: ApiRequest, symbol: str) -> Response:
        """Return the latest quote of an instrument."""
        known = Quote.objects.select_related("instrument")
        quote = get_object_or_404(known, instrument__symbol=symbol)
        return Response(quote_json(quote, quote.instrument.symbol))


def describe(instrument: Instrument) -> dict[str, Any]:
    """Return an instrument as clients see it, with the terms that are in force on the wall's clock.

    `dated_terms` are those from a date on, past ones and ones to come.
    """
    terms = instrument.terms_at(timezone.now())
    return {
        "symbol": instrument.symbol,
        "kind": instrument.kind,
        "description": instrument.description,
        "exchange": instrument.exchange,
        "currency": instrument.currency,
        "multiplier": decimal_text(instrument.multiplier),
        "tick_size": decimal_text(instrument.tick_size),
        "lot_size": decimal_text(terms.lot_size),
        "freeze_quantity": optional_text(terms.freeze_quantity),
        "underlying": instrument.underlying or None,
        "expiry_date": _date(terms.expiry_date),
        "strike": optional_text(instrument.strike),
        "right": instrument.right or None,
        "settlement": instrument.settlement or None,
        "dated_terms": [
            {
                "effective_from": row.effective_from.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "lot_size": decimal_text(row.lot_size),
                "freeze_quantity": optional_text(row.freeze_quantity),
                "expiry_date": _date(row.expiry_date),
            }
            for row in sorted(instrument.dated_terms.all(), key=lambda row: row.effective_from)
        ],
        "pip_size": optional_text(instrument.pip_size),
        "is_tradable": instrument.is_tradable,
    }


def _date(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


class BarList(ApiView):
    """Minute bars of one symbol."""

    query = {"day": parameters.day()}

    @extend_schema(operation_id="list_bars", responses={200: dict, 400: dict, 404: dict})
    def get(self, request: ApiRequest, symbol: str) -> Response:
        """Return a day (UTC; the latest without `day`) in bars, oldest first, in columns."""
        day = self.asked.get("day")
        instrument = get_object_or_404(Instrument, symbol=symbol)
        bars = Bar.objects.filter(instrument=instrument)
        if day is None:
            latest = bars.aggregate(latest=Max("at"))["latest"]
            day = None if latest is None else latest.date()
        found = list(bars.filter(at__date=day).order_by("at"))
        columns = {n: [decimal_text(getattr(bar, n)) for bar in found] for n in PRICES}
        at = [bar.at.strftime("%Y-%m-%dT%H:%M:%SZ") for bar in found]
        return Response({"symbol": instrument.symbol, "day": day, "at": at} | columns)
