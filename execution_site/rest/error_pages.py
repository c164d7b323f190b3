"""Every answer that is no success and came from outside our views: a page, or a problem.

Django's own pages for them show settings and source where DEBUG is on. None leaves here: what it
made of an error is replaced, in either case.
"""

import logging
import sys
import uuid
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from execution_site.rest import http

REFUSALS = {
    400: ("bad_request", "The request could not be read."),
    403: ("permission_denied", "You may not do this."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know this method."),
    413: ("too_large", f"A body may have {http.MOST_BYTES} bytes."),
    429: ("rate_limited", "Too many tries from this address: come again in a minute."),
    500: ("internal_error", "Something failed on our side."),
    503: ("unavailable", "The database is away. Try again."),
}
DJANGOS_OWN = {400, 404, 500}  # what it makes pages of with DEBUG on
FORM = "This form is no longer valid: go back, load its page again, and send it once more."
KEPT_HEADERS = ("Allow", "Retry-After")
WITHOUT_PAGES = ("/api/", "/healthz", "/readyz")

logger = logging.getLogger(__name__)

Handler = Callable[[HttpRequest], HttpResponse]


class ErrorPages:
    """Outermost middleware: no refusal leaves in Django's words."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self.get_response(request)
        if response.status_code < 400 or getattr(response, "is_own_page", False):
            return response
        is_json = "json" in response.get("Content-Type", "")
        if is_json if _wants_problem(request) else _is_a_views(response):
            return response
        replaced = refusal(request, response.status_code)
        for name in KEPT_HEADERS:
            if name in response:
                replaced[name] = response[name]
        return replaced

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view stumbled over, where it is not the view's fault."""
        return _known(request, exception)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an address that leads nowhere."""
    return refusal(request, 404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request Django refused to read."""
    return _known(request, exception) or refusal(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer what is not allowed."""
    return refusal(request, 403)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that did not come from a page of ours; the reason is in the log."""
    return refusal(request, 403, FORM)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer what failed outside every view."""
    return _known(request, sys.exc_info()[1]) or refusal(request, 500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """Answer what cannot be answered while the database is away."""
    response = refusal(request, 503)
    response["Retry-After"] = str(http.RETRY_AFTER_SECONDS)
    return response


def refusal(request: HttpRequest, status_code: int, said: str = "") -> HttpResponse:
    """Return the page or the problem of a status; an error of ours has a reference into the log."""
    fallback = REFUSALS[400 if status_code < 500 else 500]
    code, detail = REFUSALS.get(status_code, fallback)
    detail = said or detail
    if status_code == 500:
        reference = uuid.uuid4().hex
        logger.error("reference %s: %s %r", reference, request.method, request.path)
        detail = f"{detail} Reference: {reference}"
    response: HttpResponse
    if _wants_problem(request):
        document = http.body(status_code, code, detail)
        response = JsonResponse(document, status=status_code, content_type=http.CONTENT_TYPE)
    else:
        page = render_to_string("error.html", {"status": status_code, "detail": detail})
        response = HttpResponse(page, status=status_code)
    response.is_own_page = True  # type: ignore[attr-defined]
    return response


def _known(request: HttpRequest, exception: BaseException | None) -> HttpResponse | None:
    match exception:
        case OperationalError() | InterfaceError() | InternalError():
            logger.error("the database did not serve a request: %s", exception)
            return unavailable(request)
        case RequestDataTooBig():
            return refusal(request, 413)
    return None


def _wants_problem(request: HttpRequest) -> bool:
    return request.path_info.startswith(WITHOUT_PAGES) or not request.accepts("text/html")


def _is_a_views(response: HttpResponse) -> bool:
    """Tell whether a view wrote this page: Django's are made with DEBUG on, or are empty."""
    djangos = settings.DEBUG and response.status_code in DJANGOS_OWN
    return not djangos and (response.streaming or bool(response.content))
