"""How every answer that is no success looks (RFC 9457), and which JSON we read at all."""

import codecs
import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from execution_site.floor import outages

MOST_BYTES = 256 * 1024
MOST_DEPTH = 32
MOST_DIGITS = 40
RETRY_AFTER_SECONDS = 1
CONTENT_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)


class ApiRequest(Request):
    """A request of somebody we know: `auth` is the principal (orders/api/authentication.py)."""

    auth: Any  # the floors do not know the principal's class


class Problem(exceptions.APIException):
    """An error with a stable code, and the fields it is about."""

    def __init__(
        self,
        status_code: int,
        code: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status_code
        self.code = code
        self.text = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def body(status_code: int, code: str, detail: str, errors: Sequence[Any] = ()) -> dict[str, Any]:
    """Return a problem document."""
    title = code.replace("_", " ").capitalize()
    return {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": title,
        "status": status_code,
        "detail": detail,
        "code": code,
        "errors": list(errors),
    }


def sentence(errors: Iterable[Mapping[str, str]]) -> str:
    """Return what is wrong with each field, as one line of text."""
    return "; ".join(f"{error['field'] or 'body'}: {error['detail']}" for error in errors)


def problem_response(exc: Exception, _context: Mapping[str, Any]) -> Response | None:
    """Turn an exception of a view into a problem; what is no client's fault is logged."""
    match exc:
        case Problem():
            return _problem(exc.status_code, exc.code, exc.text, exc.errors, exc.headers)
        case exceptions.ValidationError():
            errors = list(_flatten(exc.get_full_details(), ""))
            code = "unsupported" if any(e["code"] == "unsupported" for e in errors) else "invalid"
            return _problem(400, code, sentence(errors), errors)
        case RequestDataTooBig():
            return _problem(413, "too_large", f"A body may have {MOST_BYTES} bytes.")
        case Http404():
            return _problem(404, "not_found", "There is no such thing, or it is not yours.")
        case PermissionDenied():
            return _problem(403, "permission_denied", "You may not do this.")
        case exceptions.APIException():
            headers = {}
            if scheme := getattr(exc, "auth_header", None):
                headers["WWW-Authenticate"] = scheme
            codes = exc.get_codes()
            code = codes if isinstance(codes, str) else "error"
            return _problem(exc.status_code, code, str(exc.detail), headers=headers)
        case OperationalError() | InterfaceError() | InternalError():
            return _database_failed(exc)
    return _unexpected(exc)


def _problem(
    status_code: int,
    code: str,
    detail: str,
    errors: Sequence[Any] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    document = body(status_code, code, detail, errors)
    return Response(document, status_code, headers=dict(headers or {}), content_type=CONTENT_TYPE)


def _database_failed(exc: Exception) -> Response:
    if reason := outages.unwritable(exc):
        code, why = reason
        said = f"{why} Nothing was changed. Ask again with the same key."
        return _problem(503, code, said, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    if isinstance(exc, InternalError):
        return _unexpected(exc)
    logger.error("the database did not serve a request: %s", exc)
    return _unavailable()


def _unavailable() -> Response:
    said = "The database did not answer in time: whether this was done is not known. "
    response = _problem(503, "unavailable", said + "Ask again with the same key.")
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _unexpected(exc: Exception) -> Response:
    trace = uuid.uuid4().hex
    logger.error("unexpected error %s", trace, exc_info=exc)
    return _problem(500, "internal_error", f"Something failed on our side. Reference: {trace}")


def _flatten(details: Any, path: str) -> Any:
    """Yield each field's error from DRF's nested details."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        yield {"field": path, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from _flatten(inner, f"{path}.{own}".strip("."))
    else:
        for index, inner in enumerate(details):
            deeper = isinstance(inner, dict) and set(inner) != {"message", "code"}
            yield from _flatten(inner, f"{path}[{index}]" if deeper else path)


class StrictJSONParser(BaseParser):
    """Reads JSON that means one thing only: no NaN, no duplicate names, no endless numbers."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return the body.

        :raises Problem: it is no JSON we read, and why
        """
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise Problem(413, "too_large", f"A body may have {MOST_BYTES} bytes.")
        try:
            text = codecs.decode(raw, "utf-8")
            if _depth(text) > MOST_DEPTH:
                _malformed(f"nested deeper than {MOST_DEPTH}")
            value = json.loads(
                text,
                parse_float=_decimal,
                parse_int=_integer,
                parse_constant=_constant,
                object_pairs_hook=_unique,
            )
        except ValueError as e:
            _malformed(str(e))
        _refuse_unreadable_text(value)
        return value


def _malformed(detail: str) -> NoReturn:
    raise Problem(status.HTTP_400_BAD_REQUEST, "malformed_json", detail)


def _decimal(text: str) -> Decimal:
    if sum(c.isdigit() for c in text) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    value = Decimal(text)
    if abs(value.adjusted()) > MOST_DIGITS:
        raise ValueError("a number out of all proportion")
    return value


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return int(text)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return names


def _depth(text: str) -> int:
    """Return how deep brackets nest, counting those in strings too: a bound, not a measure."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _refuse_unreadable_text(value: Any) -> None:
    """Refuse text that PostgreSQL cannot hold: NUL, and halves of characters."""
    match value:
        case str() if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            _malformed("text with NUL or half a character")
        case dict():
            for name, inner in value.items():
                _refuse_unreadable_text(name)
                _refuse_unreadable_text(inner)
        case list():
            for inner in value:
                _refuse_unreadable_text(inner)
