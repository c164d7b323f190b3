"""What an address may hold, refused at the one door, before any view reads it."""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from execution_site.rest import error_pages, http, rates

GUESSES = ("/login/", "/confirm/", "/second-factor/")  # of passwords and codes
API = "/api/"  # reads its queries itself, and names the parameter that is wrong (parameters.py)
LONGEST_PATH = 1024  # characters
LONGEST_QUERY = 8192  # characters, as it is written
LONGEST_VALUE = 2048  # characters
MOST_PARTS = 200  # of a query
MANY = f"An address may have {MOST_PARTS} query parameters."

Handler = Callable[[HttpRequest], HttpResponse]


def refuse_unreadable_address(get_response: Handler) -> Handler:
    """Answer 404 to a path, and 400 to a page's query, that no column or number could hold."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not _path_is_readable(request.path_info):
            return error_pages.page_not_found(request)
        if request.META.get("QUERY_STRING", "").count("&") >= MOST_PARTS:
            return error_pages.refusal(request, 400, MANY)
        if not request.path_info.startswith(API) and not _query_is_readable(request):
            return error_pages.bad_request(request)
        return get_response(request)

    return answer


def bound_sign_ins(get_response: Handler) -> Handler:
    """Bound how often an address may try to sign in, before a password is looked at."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and request.path_info.endswith(GUESSES):
            try:
                rates.take(rates.sign_ins(), rates.network(request.META.get("REMOTE_ADDR", "")))
            except http.Problem as e:
                refusal = error_pages.refusal(request, 429)
                for name, value in e.headers.items():
                    refusal[name] = value
                return refusal
            except (OperationalError, InterfaceError):
                return error_pages.unavailable(request)
        return get_response(request)

    return answer


def _path_is_readable(path: str) -> bool:
    return len(path) <= LONGEST_PATH and "\x00" not in path


def _query_is_readable(request: HttpRequest) -> bool:
    """Tell whether a query is UTF-8 without NUL, its parts no longer than any of ours."""
    written: str = request.META.get("QUERY_STRING", "")
    if len(written) > LONGEST_QUERY:
        return False
    raw = unquote_to_bytes(written)
    if b"\x00" in raw:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return all(len(part) <= LONGEST_VALUE for part in written.split("&"))
