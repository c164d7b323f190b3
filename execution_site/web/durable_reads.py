"""What a client is shown is on disk: a crash of the database takes back nothing that was read."""

from collections.abc import Callable
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from execution_site.floor import statements
from execution_site.rest import error_pages

#: They tell how the site does, not what it keeps, and answer without a database too.
KEPT_NOWHERE = {"/healthz", "/readyz", "/api/v1/health", "/api/v1/health/trading"}

Handler = Callable[[HttpRequest], HttpResponse]


class DurableReads:
    """Middleware: an answer that was read waits for the disk where what it read is not there yet.

    Whatever changes something has flushed its own commit when it answers.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self.get_response(request)
        reads = request.method in {"GET", "HEAD"} and request.path not in KEPT_NOWHERE
        if reads and response.status_code == HTTPStatus.OK:
            try:
                statements.flush_seen()
            except (OperationalError, InterfaceError):
                return error_pages.unavailable(request)
        return response
