"""What every request of a person passes: their sign-in, its second factor, and the table of pages.

An API key has no session and passes; what it may do is asked by the API itself.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from execution_site.console.table_rights import CONSOLE as TABLES
from execution_site.floor import outages
from execution_site.rest import error_pages, http
from execution_site.rest.permissions import API, ENDPOINTS, PAGES, PUBLIC, rights_of
from execution_site.sign_in import second_factor, sign_ins
from execution_site.sign_in.second_factor import Missing
from execution_site.sign_in.sign_ins import SignIn

#: What asks for rights by itself: the API (permissions.Listed) and the console (its tables).
ASK_THEMSELVES = (API, CONSOLE := "admin/")
OF_NOBODY = {f"{CONSOLE}login/", f"{CONSOLE}logout/"}
ASKED_BY_PAGES = {"risk/state", "approvals/state"}  # each second, whoever looks
#: Where what is missing is given; until it is, there is nothing else.
GIVEN_AT = {Missing.ENROLMENT: "second-factor/", Missing.CODE: "confirm/"}
AGAIN = "/confirm/?undone=1"  # then the form has to be sent again: it is not sent for anybody
SAID = {
    Missing.ENROLMENT: "Set up an authenticator first, at /second-factor/.",
    Missing.CODE: "Give a code of your authenticator first, at /confirm/.",
}


class PageGuard:
    """A middleware: who is not signed in, or not wholly, is asked to, where it is needed."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; a session that got another key, or ended, is followed."""
        before = request.session.session_key
        response = self.get_response(request)
        if before and before != request.session.session_key:
            sign_ins.follow(before, request.session.session_key)
        return response

    def process_view(self, request: Any, *_: Any) -> HttpResponse | None:
        """Stop what may not be seen."""
        route = request.resolver_match.route if request.resolver_match else ""
        if is_public(route):
            return None
        try:
            return self._stopped(request, route)
        except (OperationalError, InterfaceError):
            return error_pages.unavailable(request)

    def _stopped(self, request: Any, route: str) -> HttpResponse | None:
        by_key = route.startswith(API) and request.headers.get("Authorization")
        if not by_key and request.user.is_authenticated:
            request.sign_in = SignIn.current(request.session.session_key, request.user)
            if request.sign_in is None:
                logout(request)
            elif missing := second_factor.missing(request.sign_in, request.user):
                return None if route == GIVEN_AT[missing] else _led(request, route, missing)
            else:
                _seen(request, route)
                if _takes_proof(request, route) and not request.sign_in.is_fresh(
                    now=timezone.now()
                ):
                    return redirect_to_login(request.get_full_path(), login_url=AGAIN)
        if route.startswith(ASK_THEMSELVES):
            return None
        if (needs := PAGES.get(route)) is None:
            raise PermissionDenied
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not {needs} & rights_of(request.user):
            raise PermissionDenied
        return None


def is_public(route: str) -> bool:
    """Tell whether what is at a route is for everybody."""
    if route.startswith(API):
        return ENDPOINTS.get(route.removeprefix(API), {}).get("get") == PUBLIC
    return PAGES.get(route) == PUBLIC or route in OF_NOBODY


def _takes_proof(request: HttpRequest, route: str) -> bool:
    """Tell whether a form of the console takes a fresh proof; the API asks by itself."""
    if not route.startswith(CONSOLE) or request.method in {"GET", "HEAD"}:
        return False
    label = ".".join(route.split("/")[1:3])  # each page of a table is below its name
    table = TABLES.get(label)
    return table is not None and table.takes_proof(request.POST.get("action", ""))


def _seen(request: Any, route: str) -> None:
    """Note that a person is there: what pages ask for by themselves does not show it."""
    reads = request.method in {"GET", "HEAD"}
    if reads and (route in ASKED_BY_PAGES or route.startswith(API)):
        return
    try:
        request.sign_in.see(now=timezone.now())
    except (OperationalError, InternalError) as e:
        if outages.unwritable(e) is None:  # it is read all the same
            raise


def _led(request: HttpRequest, route: str, missing: Missing) -> HttpResponse:
    """Lead a person to what is missing; a program is told."""
    if route.startswith(API):
        document = http.body(403, "second_factor_required", SAID[missing])
        return JsonResponse(document, status=403, content_type=http.CONTENT_TYPE)
    back = request.get_full_path() if request.method == "GET" else "/"
    return redirect_to_login(back, login_url=f"/{GIVEN_AT[missing]}")
