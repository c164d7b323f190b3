"""Lets a page be seen as the table of rights says; one that it does not name, by nobody."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from execution_site import error_pages
from execution_site.permissions import PAGES, PUBLIC, Right, rights_of

#: What asks by itself: the API (permissions.Listed) and the console (its tables).
ASK_THEMSELVES = ("api/", "admin/")


class PageGuard:
    """A middleware: who is not signed in is asked to, where it is needed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Stop what may not be seen."""
        route = request.resolver_match.route if request.resolver_match else ""
        if route.startswith(ASK_THEMSELVES):
            return None
        if (needs := PAGES.get(route)) is None:
            raise PermissionDenied
        if needs == PUBLIC:
            return None
        try:
            return self._stopped(request, needs)
        except (OperationalError, InterfaceError):
            return error_pages.unavailable(request)

    @staticmethod
    def _stopped(request: HttpRequest, needs: Right | tuple[()]) -> HttpResponse | None:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if needs not in rights_of(request.user):
            raise PermissionDenied
        return None
