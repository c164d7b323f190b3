"""`make bench`: what our durable steps cost, as ratios to a floor measured in the same run.

The floor is one INSERT committed to the same disk over the same kind of connection. Runs alternate,
medians are quoted, and the disk's own flush time is the floor's largest part: read the ratios.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import django

from execution_site.embedded import Services

RUNS, EACH = 5, 200


def main() -> None:
    """Start servers of our own, measure, print a table."""
    with tempfile.TemporaryDirectory(prefix="execution-bench-") as directory:
        Path(directory).chmod(0o755)
        with Services(Path(directory)) as services:
            os.environ |= services.runtime.environment() | {"DATA_DIR": directory, "DEMO": "0"}
            os.environ["DJANGO_SETTINGS_MODULE"] = "execution_site.settings"
            django.setup()
            _measure()


def _measure() -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from brokers import quotes
    from brokers.contract import QuoteUpdate
    from execution_site import demo
    from orders import submission
    from orders.clients import ApiClient
    from orders.intake import SignalRequest, submit_signal
    from orders.models import Action, Order, OrderStatus

    call_command("migrate", verbosity=0)
    demo.seed(now=timezone.now())
    client = ApiClient.objects.get(name=demo.STRATEGY_CLIENT)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor (id bigserial PRIMARY KEY, body jsonb NOT NULL)")

    def quote() -> None:
        now = datetime.now(UTC)
        price = Decimal("1.1")
        quotes.store([QuoteUpdate(symbol="EURUSD", as_of=now, bid=price, ask=price)], now=now)

    def floor(n: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO floor (body) VALUES (%s)", [f'{{"n": {n}}}'])

    sent: list[int] = []

    def intake(n: int) -> None:
        request = SignalRequest(
            signal_id=f"{len(sent)}-{n}",
            strategy="bench",
            account="paper",
            symbol="EURUSD",
            action=Action.BUY,
            quantity=Decimal(1000),
            body={"n": n},
        )
        outcome = submit_signal(request, client=client, now=timezone.now())
        sent.append(outcome.order_id or 0)

    def transmit(n: int) -> None:
        submission.transmit(sent[-EACH + n], now=timezone.now())

    times: dict[str, list[float]] = {"floor": [], "intake": [], "submit and book": []}
    for _ in range(RUNS):
        quote()
        times["floor"].append(_median(floor))
        times["intake"].append(_median(intake))
        times["submit and book"].append(_median(transmit))
    filled = Order.objects.filter(status=OrderStatus.FILLED).count()
    _print(times, filled)


def _median(step: Callable[[int], None]) -> float:
    """Return the median milliseconds of one step, called EACH times."""
    taken = []
    for n in range(EACH):
        started = time.perf_counter()
        step(n)
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def _print(times: dict[str, list[float]], filled: int) -> None:
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    print(f"{platform.platform()}, {os.cpu_count()} processors, {platform.python_version()}")
    print(f"{RUNS} alternating runs of {EACH}, one client, durable; {filled} orders filled\n")
    print("| step | p50 ms | ratio to one durable INSERT |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} | {median / medians['floor']:.1f} |")


if __name__ == "__main__":
    main()
