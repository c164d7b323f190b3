"""Query parameters: each is declared with what it may be, and refused by name where it is not that.

The declarations also describe the parameters in the OpenAPI document
(execution_site/installation/schema.py).
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from execution_site.rest.http import Problem, sentence

LONGEST_TEXT = 128
LARGEST_ID = 10**18
_WHOLE = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter.

    `read` returns the value, and raises ValueError with what is expected. A list is filtered by
    `lookup`: a look-up of Django, or a function from the value to a Q. An account must be visible.
    """

    read: Callable[[str], Any]
    schema: Mapping[str, Any]
    lookup: str | Callable[[Any], Any] = ""
    is_account: bool = False


def text(lookup: str | Callable[[Any], Any] = "") -> Parameter:
    """Return a parameter of printable text."""
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
    return Parameter(read=_text, schema=schema, lookup=lookup)


def account(lookup: str = "") -> Parameter:
    """Return a parameter that names an account of the client's own."""
    return Parameter(read=_text, schema={"type": "string"}, lookup=lookup, is_account=True)


def one_of(names: Iterable[StrEnum | str], lookup: str | Callable[[Any], Any] = "") -> Parameter:
    """Return a parameter that is one of these names."""
    known = [str(name) for name in names]

    def read(value: str) -> str:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)} is expected")
        return value

    return Parameter(read=read, schema={"type": "string", "enum": known}, lookup=lookup)


def moment(lookup: str = "") -> Parameter:
    """Return a parameter that is a time with its zone."""
    return Parameter(read=_moment, schema={"type": "string", "format": "date-time"}, lookup=lookup)


def day() -> Parameter:
    """Return a parameter that is a date."""
    return Parameter(read=_day, schema={"type": "string", "format": "date"})


def row_id(lookup: str) -> Parameter:
    """Return a parameter that is the id of a row."""
    schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
    return Parameter(read=_within(1, LARGEST_ID), schema=schema, lookup=lookup)


def count(most: int) -> Parameter:
    """Return a parameter that is a number from 1 to `most`."""
    schema = {"type": "integer", "minimum": 1, "maximum": most}
    return Parameter(read=_within(1, most), schema=schema)


def read(
    given: QueryDict, known: Mapping[str, Parameter], *, accounts: Collection[str]
) -> dict[str, Any]:
    """Return the values of a query.

    :raises Problem: naming each parameter that is unknown, repeated, malformed, or an account that
        the client cannot see
    """
    values, errors = {}, []
    for name, texts in given.lists():
        try:
            values[name] = _one(texts, known.get(name), accounts)
        except _Refused as e:
            errors.append({"field": name, "code": e.code, "detail": str(e)})
        except ValueError as e:
            errors.append({"field": name, "code": "invalid", "detail": str(e)})
    if errors:
        raise Problem(400, "invalid", sentence(errors), errors)
    return values


class _Refused(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def _one(texts: list[str], parameter: Parameter | None, accounts: Collection[str]) -> Any:
    if parameter is None:
        raise _Refused("unknown_parameter", "no such parameter")
    if len(texts) != 1:
        raise _Refused("repeated", "given more than once")
    value = parameter.read(texts[0])
    if parameter.is_account and value not in accounts:
        raise _Refused("unknown_account", "no such account")
    return value


def _text(value: str) -> str:
    if not value or len(value) > LONGEST_TEXT or not value.isprintable():
        raise ValueError(f"printable text of 1 to {LONGEST_TEXT} characters is expected")
    return value


def _moment(value: str) -> datetime:
    expected = "an ISO 8601 time with its zone is expected, as 2026-11-20T09:20:00Z"
    try:
        moment = parse_datetime(value.replace(" ", "+"))  # a "+" that was not encoded
        if moment is not None and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise ValueError(expected) from e
    raise ValueError(expected)


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError as e:
        raise ValueError("a date is expected, as 2026-11-20") from e


def _within(least: int, most: int) -> Callable[[str], int]:
    def read_number(value: str) -> int:
        number = int(value) if _WHOLE.fullmatch(value) else None
        if number is None or not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most} is expected")
        return number

    return read_number
