"""`python -m benchmarks scale`: what a signal and a fill cost as the history grows."""

import itertools
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from benchmarks import servers, stored
from benchmarks.measure import say

STORED = (10_000, 1_000_000)
ACCOUNT = servers.ACCOUNTS[0]
BLOCKS, EACH = 5, 200
CHUNK = 100_000


def scale() -> str:
    """Measure; return a Markdown table of medians over the blocks."""
    lines = [
        "| stored orders and fills | INSERT, ms | signal, ms | submit and book, ms |"
        " signal / INSERT | submit and book / INSERT |",
        "|---|---|---|---|---|---|",
    ]
    have = 0
    for wanted in STORED:
        while have < wanted:
            stored.history(ACCOUNT, count=min(CHUNK, wanted - have))
            have += min(CHUNK, wanted - have)
            say(f"  {have:,} of {wanted:,} stored")
        insert, signal, fill = _blocks()
        lines.append(
            f"| {wanted:,} | {insert:.3f} | {signal:.2f} | {fill:.2f}"
            f" | {signal / insert:.1f} | {fill / insert:.1f} |"
        )
    return "\n".join(lines)


def _blocks() -> tuple[float, float, float]:
    """Return the medians of one durable INSERT, of a signal, of its submission and booking."""
    sent: list[int] = []
    count = itertools.count()

    def signal() -> None:
        sent.append(_signal(f"{time.time_ns()}-{next(count)}"))

    def fill() -> None:
        from orders.sending import submission

        submission.transmit(sent.pop(0), now=datetime.now(UTC))

    found: list[tuple[float, float, float]] = []
    for _ in range(BLOCKS):
        servers.quote()
        found.append((servers.flush_ms(), _median(signal), _median(fill)))
    inserts, signals, fills = (statistics.median(column) for column in zip(*found, strict=True))
    return inserts, signals, fills


def _signal(key: str) -> int:
    from orders.intake.requests import SignalRequest
    from orders.intake.submit_signal import submit_signal
    from orders.models import Action

    request = SignalRequest(
        signal_id=key,
        strategy="scale",
        account=ACCOUNT,
        symbol=servers.SYMBOL,
        action=Action.BUY,
        quantity=Decimal(1000),
        body={"key": key},
    )
    return submit_signal(request, client=_client(), now=datetime.now(UTC)).order_id or 0


@cache
def _client() -> Any:
    from execution_site.demo import seed
    from orders.models import ApiClient

    return ApiClient.objects.get(name=seed.STRATEGY_CLIENT)


def _median(step: Callable[[], None]) -> float:
    taken = []
    for _ in range(EACH):
        started = time.perf_counter()
        step()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)
