"""Symbols of derivatives: UNDERLYING + DDMMMYY + STRIKE + CE|PE, or UNDERLYING + DDMMMYY + FUT.

They are read from the right, since an underlying may hold digits, `&` and `-` (`360ONE`, `M&M`,
`BAJAJ-AUTO`): the right, a strike of digits alone, a date that exists, and what is left. Only one
date can stand before a strike, so there is at most one reading. No weekday is expected of an expiry
and no list of underlyings is kept here: the instrument master says whether what was read is traded.
A strike with zeros behind its last digit (`24000.0`) is another spelling of the same contract.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from brokers.instruments.kinds import decimal_text

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DERIVATIVE = re.compile(
    rf"(?P<underlying>[A-Z0-9][A-Z0-9&-]*)"
    rf"(?P<day>[0-9]{{2}})(?P<month>{'|'.join(MONTHS)})(?P<year>[0-9]{{2}})"
    rf"(?:FUT|(?P<strike>[1-9][0-9]*(?:\.[0-9]+)?|0\.[0-9]+)(?P<right>CE|PE))"
)


class NoSuchDate(ValueError):
    """A symbol has the form of a derivative's, but its date does not exist."""


class Right(StrEnum):
    """What an option gives its holder the right to do, as symbols write it."""

    CALL = "CE"
    PUT = "PE"


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a symbol says. An equity has an underlying alone, a future no strike and no right."""

    underlying: str
    expiry: date | None = None
    strike: Decimal | None = None
    right: Right | None = None

    def __str__(self) -> str:
        if self.expiry is None:
            return self.underlying
        day = f"{self.expiry.day:02}{MONTHS[self.expiry.month - 1]}{self.expiry.year % 100:02}"
        if self.strike is None or self.right is None:
            return f"{self.underlying}{day}FUT"
        return f"{self.underlying}{day}{decimal_text(self.strike)}{self.right}"


def parse(symbol: str) -> Symbol:
    """Return what a symbol says; one that is no derivative's is a plain name.

    :raises NoSuchDate: it is a derivative's, of a day that its month does not have
    """
    found = _DERIVATIVE.fullmatch(symbol)
    if found is None:
        return Symbol(symbol)
    try:
        month = MONTHS.index(found["month"]) + 1
        expiry = date(2000 + int(found["year"]), month, int(found["day"]))
    except ValueError as e:
        day = "".join(found.group("day", "month", "year"))
        raise NoSuchDate(f"{day} in {symbol} is no date") from e
    if found["right"] is None:
        return Symbol(found["underlying"], expiry)
    return Symbol(found["underlying"], expiry, Decimal(found["strike"]), Right(found["right"]))


def one_spelling(symbol: str) -> str:
    """Return the symbol in its one spelling; what is no derivative's is as it was given."""
    if "." not in symbol:  # only a strike's fraction can be written in more than one way
        return symbol
    try:
        return str(parse(symbol))
    except NoSuchDate:
        return symbol
