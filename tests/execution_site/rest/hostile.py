"""Values that no client means, as they are written in an address."""

from base64 import b64encode
from urllib.parse import quote

LONG = 5_000  # characters


def _cursor(text):
    return quote(b64encode(text.encode()).decode(), safe="")


#: Name of the case to the text between the slashes, or after the "=".
VALUES = {
    "nothing": "",
    "NUL": "%00",
    "NUL inside": "A%00B",
    "a line's end": "%0D%0A",
    "no UTF-8": "%FF%FE",
    "half a character": "%ED%A0%80",
    "beyond Unicode": "%F4%90%80%80",
    "an escape of one digit": "%4",
    "no hexadecimal": "%zz",
    "written backwards": "%E2%80%AE",
    "a great letter": "%F0%9F%92%B8",
    "digits without end": "9" * LONG,
    "zero": "0",
    "the largest bigint": str(2**63 - 1),
    "one more": str(2**63),
    "the largest integer, and one": str(2**31),
    "Arabic digits": "%D9%A1%D9%A2",
    "a superscript": "%C2%B2",
    "hexadecimal": "0x10",
    "not a number": "NaN",
    "without end": "-Infinity",
    "before the first day": "0001-01-01T00:00:00%2B23:59",
    "after the last day": "9999-12-31T23:59:59-23:59",
    "the last moment": "9999-12-31T23:59:59.999999Z",
    "the first day": "0001-01-01",
    "the last day": "9999-12-31",
    "a zone beyond a day": "2026-01-01T00:00:00%2B99:99",
    "text without end": "x" * LONG,
    "brackets": "%5B%7B%22a%22%3A1%7D%5D",
    "the parent": "..%2F..%2Fetc%2Fpasswd",
    "a cursor of nonsense": _cursor("p=NaN"),
    "a cursor without end": _cursor(f"p={'9' * 30}"),
    "a cursor far away": _cursor(f"o={10**17}"),
    "a cursor with NUL": _cursor("p=\x00"),
}

#: What no column of the database holds.
UNSTORABLE = ("NUL inside", "half a character", "digits without end")
