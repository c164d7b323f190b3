"""Text files, through one door: UTF-8, with or without a byte order mark, any line ends.

What is not text is refused with the file's name, and with the line where one is to blame.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TextIO

#: How other encodings begin. UTF-32's mark begins like UTF-16's, and comes first.
OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
#: Dates of other years are slips of the pen, and some have no midnight in every zone.
YEARS = range(1900, 2200)
#: A NUL, or a byte that is not UTF-8 as `surrogateescape` leaves it.
_NO_TEXT = re.compile("[\0\udc80-\udcff]")


class UnreadableFile(ValueError):
    """A file that cannot be read as what it should hold; the message begins with its name."""


class UnwritableFile(ValueError):
    """A file that cannot be written; the message begins with its name."""


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, their ends kept.

    :raises UnreadableFile: no such file, not text in UTF-8, or nothing in it
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        for mark, encoding in OTHER_MARKS:
            if start.startswith(mark):
                raise UnreadableFile(f"{path}: is {encoding}; save it as UTF-8")
        is_blank = True
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for number, line in enumerate(file, start=1):
                if found := _NO_TEXT.search(line):
                    raise UnreadableFile(f"{path}, line {number}: {_blame(found[0])}")
                is_blank = is_blank and line.isspace()
                yield line
    except OSError as e:
        raise UnreadableFile(f"{path}: {e.strerror}") from e
    if is_blank:
        raise UnreadableFile(f"{path}: is empty")


def table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return a CSV file's columns, and its rows with the number of the line each ends on.

    Blank lines are left out. A row may have more or fewer values than there are columns.

    :raises UnreadableFile: as `lines`, no CSV, or a column is there twice; also as rows are read
    """
    rows = _rows(path)
    number, columns = next(rows)
    for name in columns:
        if columns.count(name) > 1:
            raise UnreadableFile(f"{path}, line {number}: the column {name} is there twice")
    return columns, rows


def named(columns: list[str], values: list[str]) -> dict[str, str]:
    """Return a row's values by their columns.

    :raises ValueError: there are more or fewer of them
    """
    if len(values) != len(columns):
        raise ValueError("not as many values as columns")
    return dict(zip(columns, values, strict=True))


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """Open a text file anew to write to.

    :raises UnwritableFile: it cannot be opened
    """
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as e:
        raise UnwritableFile(f"{path}: {e.strerror}") from e
    with file:
        yield file


def look_at_target(path: Path) -> None:
    """Make sure that a file can be written later, and leave what it holds.

    :raises UnwritableFile: it cannot
    """
    try:
        path.open("a").close()
    except OSError as e:
        raise UnwritableFile(f"{path}: {e.strerror}") from e


def day(text: str) -> date:
    """Return the date that a text names.

    :raises ValueError: it names none that exists, or one of another age
    """
    try:
        found = date.fromisoformat(text)
    except ValueError as e:
        raise ValueError(f"{text} is no date") from e
    if found.year not in YEARS:
        raise ValueError(f"{text} is not of the years {YEARS.start} to {YEARS.stop - 1}")
    return found


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines(path), strict=True)
    begins = 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num, row
            begins = reader.line_num + 1
    except csv.Error as e:
        raise UnreadableFile(f"{path}, line {begins}: {e}") from e


def _blame(character: str) -> str:
    if character == "\0":
        return "a NUL byte; this is no text, or not in UTF-8"
    byte = character.encode("utf-8", "surrogateescape")[0]
    return f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8"
