"""Views of the API: their query parameters are declared, and lists are pages, newest first."""

import binascii
import math
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from django.db.models import Q, QuerySet
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from execution_site.rest import parameters, rates
from execution_site.rest.http import Problem
from execution_site.rest.parameters import Parameter
from execution_site.rest.rates import Left, Limit

LONGEST_PAGE = 1000
FARTHEST_OFFSET = 1000


class ApiView(APIView):
    """A view of the API: what `query` does not declare is refused, whatever the method."""

    query: ClassVar[Mapping[str, Parameter]] = {}
    is_urgent: ClassVar[bool] = False  # kills and cancels: their rate is nobody else's
    asked: dict[str, Any]
    left: Left | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the query, once the client is known."""
        super().initial(request, *args, **kwargs)
        principal: Any = request.auth
        if principal is not None:
            who = str(principal.client.pk)
            self.left = rates.take(self._limit(request), who, units=_units(request))
        known = self.query if request.method in SAFE_METHODS else {}
        accounts = getattr(request.auth, "accounts", {})
        self.asked = parameters.read(request.query_params, known, accounts=accounts)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error; who is not known is counted by address."""
        if isinstance(exc, AuthenticationFailed | NotAuthenticated):
            address = rates.network(self.request.META.get("REMOTE_ADDR", ""))
            try:
                rates.take(rates.anonymous(), address)
            except Problem as refusal:
                exc = refusal
        return super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Send with each answer what is left of the client's rate."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in (self.left.headers if self.left else {}).items():
            answer.headers.setdefault(name, value)
        return answer

    def _limit(self, request: Request) -> Limit:
        if self.is_urgent:
            return rates.urgent()
        return rates.reads() if request.method in SAFE_METHODS else rates.writes()

    def answer_list(
        self, queryset: "QuerySet[Any]", describe: Callable[[Any], dict[str, Any]]
    ) -> Response:
        """Answer one page of what the query's parameters leave of `queryset`."""
        for name, value in self.asked.items():
            match self.query[name].lookup:
                case "":
                    pass
                case str() as lookup:
                    queryset = queryset.filter(Q((lookup, value)))
                case condition:
                    queryset = queryset.filter(condition(value))
        pages = Pages()
        page = pages.paginate_queryset(queryset, self.request)
        return pages.get_paginated_response([describe(row) for row in page or ()])


def _units(request: Request) -> int:
    """Return what a request counts: a page is worth one for each 100 rows it may have."""
    asked = request.query_params.get("limit", "")
    rows = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= 4 else 0
    return max(1, math.ceil(min(rows, LONGEST_PAGE) / 100))


class Pages(CursorPagination):
    """Cursor pages by descending id."""

    ordering = "-pk"
    page_size = 100
    page_size_query_param = "limit"
    max_page_size = LONGEST_PAGE


def _cursor(text: str) -> str:
    """Return a cursor as a page's links give it.

    :raises ValueError: it is none of ours
    """
    try:
        parts = dict(parse_qsl(b64decode(text, validate=True).decode("ascii"), strict_parsing=True))
        offset, position = int(parts.pop("o", "0")), int(parts.pop("p", "0"))
        is_ours = bool(text) and parts in ({}, {"r": "1"}) and 0 <= offset <= FARTHEST_OFFSET
        if is_ours and 0 <= position <= parameters.LARGEST_ID:
            return text
    except (binascii.Error, ValueError):
        pass
    raise ValueError("the cursor of a page's `next` or `previous` is expected")


PAGING = {
    "cursor": Parameter(read=_cursor, schema={"type": "string"}),
    "limit": parameters.count(LONGEST_PAGE),
}
