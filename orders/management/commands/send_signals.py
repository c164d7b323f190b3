"""`manage.py send_signals`: submits a file of signals over REST."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from execution_site.floor import text_files
from execution_site.floor.text_files import UnreadableFile

ANSWERED = {200, 202, 422}
SHOWN_PROBLEMS = 20


class Command(BaseCommand):
    """Safe to run again: each signal's key is in the file."""

    help = "Submit a .csv or .jsonl file of signals over REST; none while a line is no signal."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add file, address, key and how many at once."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--url", required=True)
        parser.add_argument("--key", required=True, help="PREFIX.SECRET")
        parser.add_argument("--concurrency", type=int, default=1)

    def handle(self, *_: Any, file: Path, url: str, key: str, concurrency: int, **__: Any) -> None:
        """Send all, show progress, sum up; exit 1 when any was not answered."""
        signals = _read(file)
        headers = {"Authorization": f"Api-Key {key}"}
        counts: Counter[str] = Counter()
        with (
            httpx.Client(base_url=url, headers=headers, timeout=30) as client,
            ThreadPoolExecutor(concurrency) as threads,
        ):
            answers = threads.map(lambda signal: _send(client, signal), signals)
            for answer in tqdm(answers, total=len(signals), unit="signal"):
                counts[answer] += 1
        for answer, count in sorted(counts.items()):
            self.stdout.write(f"{answer}: {count}")
        if any(not answer.isdigit() or int(answer) not in ANSWERED for answer in counts):
            sys.exit(1)


Readers = Iterator[tuple[int, Callable[[], dict[str, Any]]]]


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the signals of a file.

    :raises CommandError: naming each line that is no signal
    """
    signals, problems = [], []
    try:
        for line, signal in _table(file) if file.suffix == ".csv" else _lines(file):
            try:
                signals.append(signal())
            except (ValueError, RecursionError) as e:
                problems.append(f"line {line}: {e}")
    except UnreadableFile as e:
        raise CommandError(str(e)) from e
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = problems[:SHOWN_PROBLEMS] + ([f"... and {more} more"] if more > 0 else [])
        raise CommandError("\n".join([f"{file}: nothing was sent", *shown]))
    return signals


def _table(file: Path) -> Readers:
    columns, rows = text_files.table(file)
    for line, values in rows:
        yield line, partial(_filled, columns, values)


def _lines(file: Path) -> Readers:
    for line, text in enumerate(text_files.lines(file), start=1):
        if text.strip():
            yield line, partial(_object, text)


def _filled(columns: list[str], values: list[str]) -> dict[str, Any]:
    return {name: value for name, value in text_files.named(columns, values).items() if value}


def _object(text: str) -> dict[str, Any]:
    signal = json.loads(text, parse_constant=_no_number)
    if not isinstance(signal, dict):
        raise ValueError("not an object")  # noqa: TRY004 it is the line that is wrong
    json.dumps(signal, ensure_ascii=False).encode()  # half a surrogate pair cannot be sent
    return signal


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _send(client: httpx.Client, signal: dict[str, Any]) -> str:
    try:
        return str(client.post("/api/v1/signals", json=signal).status_code)
    except httpx.HTTPError as e:
        return type(e).__name__
