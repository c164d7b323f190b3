"""One check's verdict, and how numbers in it are formatted."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from brokers.instruments.kinds import decimal_text


class CheckStatus(StrEnum):
    """A verdict of one check."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_EVALUABLE = "NOT_EVALUABLE"


@dataclass(frozen=True, slots=True)
class Check:
    """One check's verdict. `code` is the stable refusal code, `value` and `limit` are text."""

    name: str
    status: CheckStatus
    value: str | None
    limit: str | None
    detail: str
    code: str

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as it is stored and answered."""
        return {
            "name": self.name,
            "status": self.status.value,
            "value": self.value,
            "limit": self.limit,
            "detail": self.detail,
            "code": None if self.status is CheckStatus.PASSED else self.code,
        }


Shown = Decimal | str | None


def check(
    name: str,
    passed: bool,
    detail: str,
    *,
    value: Shown = None,
    limit: Shown = None,
    code: str | None = None,
) -> Check:
    """Return a verdict that could be made."""
    status = CheckStatus.PASSED if passed else CheckStatus.FAILED
    return Check(name, status, _text(value), _text(limit), detail, code or name)


def unknown(name: str, detail: str, *, code: str | None = None, limit: Shown = None) -> Check:
    """Return the verdict of a check that lacks what it needs; it refuses as well."""
    return Check(name, CheckStatus.NOT_EVALUABLE, None, _text(limit), detail, code or name)


def seconds(later: datetime, earlier: datetime) -> Decimal:
    """Return the seconds between two times, exactly."""
    elapsed = later - earlier
    micros = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    return Decimal(micros) / 1_000_000


def _text(value: Shown) -> str | None:
    return decimal_text(value) if isinstance(value, Decimal) else value
