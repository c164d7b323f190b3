"""How columns of money, of sums, and of a fixed set of words are declared."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

MONEY: dict[str, Any] = {"max_digits": 28, "decimal_places": 10}  # amounts, prices, quantities
TOTAL: dict[str, Any] = {"max_digits": 38, "decimal_places": 10}  # sums and products of them


def choices(enum: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """Return the members of an enumeration as a column's choices: each is shown as it is stored."""
    return [(member.value, member.value) for member in enum]
