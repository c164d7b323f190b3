"""`manage.py send_signals`: submits a file of signals over REST."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

ANSWERED = {200, 202, 422}


class Command(BaseCommand):
    """Safe to run again: each signal's key is in the file."""

    help = "Submit a .csv or .jsonl file of signals over REST."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add file, address, key and how many at once."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--url", required=True)
        parser.add_argument("--key", required=True, help="PREFIX.SECRET")
        parser.add_argument("--concurrency", type=int, default=1)

    def handle(self, *_: Any, file: Path, url: str, key: str, concurrency: int, **__: Any) -> None:
        """Send all, show progress, sum up; exit 1 when any was not answered."""
        signals = list(_read(file))
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


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the signals of a file.

    :raises CommandError: naming the line that is no signal
    """
    with file.open(newline="") as lines:
        if file.suffix == ".csv":
            for row in csv.DictReader(lines):
                yield {name: value for name, value in row.items() if name and value}
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as e:
                    raise CommandError(f"{file}, line {number}: {e}") from e


def _send(client: httpx.Client, signal: dict[str, Any]) -> str:
    try:
        return str(client.post("/api/v1/signals", json=signal).status_code)
    except httpx.HTTPError as e:
        return type(e).__name__
