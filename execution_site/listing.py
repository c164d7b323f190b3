"""Lists: newest first, by cursor, filtered by named parameters and no others."""

from collections.abc import Callable, Container, Mapping
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from execution_site.http import Problem

PAGING = {"cursor", "limit"}


class Pages(CursorPagination):
    """Cursor pages by descending id."""

    ordering = "-pk"
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = 1000


def answer_list(
    request: Request,
    queryset: "QuerySet[Any]",
    filters: Mapping[str, str],
    describe: Callable[[Any], dict[str, Any]],
    also: frozenset[str] = frozenset(),
) -> Response:
    """Answer one page. `filters` maps parameter names to look-ups; `__gte`/`__lt` take times.

    `also` names parameters that the caller has applied itself.

    :raises Problem: a parameter that is not known, or a time that is none
    """
    _refuse_unknown(request, {*filters, *also, *PAGING})
    for name, lookup in filters.items():
        if (value := request.query_params.get(name)) is not None:
            queryset = queryset.filter(**{lookup: _value(name, lookup, value)})
    pages = Pages()
    page = pages.paginate_queryset(queryset, request)
    return pages.get_paginated_response([describe(row) for row in page or ()])


def _value(name: str, lookup: str, value: str) -> Any:
    if "\x00" in value:
        raise Problem(400, "invalid", "No text.", [_error(name, "invalid", "no text")])
    if not lookup.endswith(("__gte", "__lt")):
        return value
    try:
        moment: datetime | None = parse_datetime(value.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        detail = "an ISO 8601 time with its zone is expected"
        raise Problem(400, "invalid", detail, [_error(name, "invalid", detail)])
    return moment


def _error(name: str, code: str, detail: str) -> dict[str, str]:
    return {"field": name, "code": code, "detail": detail}


def parameters(request: Request, known: set[str]) -> dict[str, str]:
    """Return the query's parameters that say something.

    :raises Problem: one is not known
    """
    _refuse_unknown(request, known)
    return {name: str(value) for name, value in request.query_params.items() if value}


def parse_day(text: str | None, *, name: str = "day") -> date | None:
    """Return the date that a parameter gives, or None for none.

    :raises Problem: it is no date
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as e:
        detail = "a date is expected, as 2026-11-20"
        raise Problem(400, "invalid", f"{name}: {detail}", [_error(name, "invalid", detail)]) from e


def _refuse_unknown(request: Request, known: Container[str]) -> None:
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        errors = [_error(name, "unknown_parameter", "no such parameter") for name in unknown]
        raise Problem(400, "invalid", "Unknown parameters.", errors)
