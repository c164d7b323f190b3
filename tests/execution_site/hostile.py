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
    "NUL, encoded twice": "%2500",
    "a line's end": "%0D%0A",
    "a bell": "%07",
    "no UTF-8": "%FF%FE",
    "an overlong NUL": "%C0%80",
    "half a character": "%ED%A0%80",
    "beyond Unicode": "%F4%90%80%80",
    "half an escape": "%",
    "an escape of one digit": "%4",
    "no hexadecimal": "%zz",
    "written backwards": "%E2%80%AE",
    "a great letter": "%F0%9F%92%B8",
    "digits without end": "9" * LONG,
    "a negative one": "-1",
    "zero": "0",
    "zeros first": "0" * LONG + "1",
    "the largest bigint": str(2**63 - 1),
    "one more": str(2**63),
    "the largest integer, and one": str(2**31),
    "Arabic digits": "%D9%A1%D9%A2",
    "a digit in a circle": "%E2%91%A0",
    "a superscript": "%C2%B2",
    "hexadecimal": "0x10",
    "underscores": "1_000",
    "a sign": "%2B1",
    "a fraction": "1.5",
    "an exponent": "1e400",
    "not a number": "NaN",
    "without end": "-Infinity",
    "before the first day": "0001-01-01T00:00:00%2B23:59",
    "after the last day": "9999-12-31T23:59:59-23:59",
    "the first moment": "0001-01-01T00:00:00Z",
    "the last moment": "9999-12-31T23:59:59.999999Z",
    "the first day": "0001-01-01",
    "the last day": "9999-12-31",
    "no such day": "2026-02-30",
    "no year": "0000-01-01T00:00:00Z",
    "a year of five digits": "10000-01-01T00:00:00Z",
    "a zone beyond a day": "2026-01-01T00:00:00%2B99:99",
    "a leap second": "2026-12-31T23:59:60Z",
    "a week": "2026-W01-1",
    "text without end": "x" * LONG,
    "brackets": "%5B%7B%22a%22%3A1%7D%5D",
    "a quote": "%27%20OR%201%3D1%20--",
    "a format": "%25s%25(x)s{0}",
    "the parent": "..%2F..%2Fetc%2Fpasswd",
    "a cursor of nonsense": _cursor("p=NaN"),
    "a cursor without end": _cursor(f"p={'9' * 30}"),
    "a cursor far away": _cursor(f"o={10**17}"),
    "a cursor with NUL": _cursor("p=\x00"),
}

#: What no column of the database holds.
UNSTORABLE = ("NUL inside", "half a character", "digits without end")
