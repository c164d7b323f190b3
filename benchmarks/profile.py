"""`python -m benchmarks profile`: where the two hot steps spend their time.

For a signal's intake and for an order's submission with the booking of its fill: statements and
transactions by name, round trips, milliseconds of processor in Python and in PostgreSQL a call.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psutil

from benchmarks import scale, servers
from execution_site.floor import statements

CALLS = 300
SHOWN = 64


def profile() -> str:
    """Measure both steps; return Markdown."""
    sent: list[int] = []
    count = itertools.count()

    def intake() -> None:
        sent.append(scale._signal(f"{time.time_ns()}-{next(count)}"))

    def submit_and_book() -> None:
        from orders.sending import submission

        submission.transmit(sent.pop(0), now=datetime.now(UTC))

    return "\n\n".join(
        _step(name, step)
        for name, step in (("intake", intake), ("submit and book", submit_and_book))
    )


def _step(name: str, step: Callable[[], None]) -> str:
    from django.db import connections

    servers.quote()
    for _ in range(20 if name == "intake" else 10):
        step()
    backends = [
        psutil.Process(c.connection.info.backend_pid) for c in connections.all() if c.connection
    ]
    with _counted() as counted:
        before = time.process_time(), sum(map(_seconds, backends))
        started = time.perf_counter()
        for _ in range(CALLS):
            step()
        wall = (time.perf_counter() - started) * 1000 / CALLS
        python = (time.process_time() - before[0]) * 1000 / CALLS
        backend = (sum(map(_seconds, backends)) - before[1]) * 1000 / CALLS
    lines = [
        f"**{name}**: {wall:.2f} ms a call; processor {python:.2f} ms in Python (hints and bells"
        f" included), {backend:.2f} ms in PostgreSQL; {counted.total() / CALLS:.1f} statements",
        "",
        "| statement | a call |",
        "|---|---|",
    ]
    lines += [f"| `{text}` | {n / CALLS:.2f} |" for text, n in counted.most_common()]
    return "\n".join(lines)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count the statements of the hot path, and those of Django's own cursors."""
    from contextlib import ExitStack

    from django.db import connections

    counted: Counter[str] = Counter()
    real = statements.run

    def run(sql: str, *arguments: Any, **named: Any) -> Any:
        counted[" ".join(sql.split())[:SHOWN]] += 1
        return real(sql, *arguments, **named)

    def wrapper(execute: Any, sql: str, *arguments: Any) -> Any:
        counted[" ".join(sql.split())[:SHOWN]] += 1
        return execute(sql, *arguments)

    statements.run = run
    try:
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(wrapper))
            yield counted
    finally:
        statements.run = real
