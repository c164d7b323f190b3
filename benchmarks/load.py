"""`python -m benchmarks.load`: one process of clients of ours, started by a row.

It prepares, says `ready`, waits for a line, works for so many seconds, and prints JSON: how many
were done, and the median milliseconds of one.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django

from benchmarks.servers import SYMBOL


def main() -> None:
    """Work as told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=("intake", "fills"))
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--accounts", required=True)
    asked = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "execution_site.settings"
    django.setup()
    accounts = asked.accounts.split(",")
    make = _intake if asked.step == "intake" else _fills
    workers = [make(accounts[n % len(accounts)], n) for n in range(asked.threads)]
    print("ready", flush=True)
    sys.stdin.readline()
    taken: list[float] = []
    ends = time.monotonic() + asked.seconds
    threads = [threading.Thread(target=_work, args=[w, ends, taken]) for w in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"count": len(taken), "p50_ms": statistics.median(taken)}))


def _work(step: Callable[[], None], ends: float, taken: list[float]) -> None:
    while time.monotonic() < ends:
        started = time.perf_counter()
        step()
        taken.append((time.perf_counter() - started) * 1000)


def _intake(account: str, number: int) -> Callable[[], None]:
    from execution_site.demo import seed
    from orders.intake.requests import SignalRequest
    from orders.intake.submit_signal import submit_signal
    from orders.models import Action, ApiClient

    client = ApiClient.objects.get(name=seed.STRATEGY_CLIENT)
    count = itertools.count()

    def step() -> None:
        key = f"{os.getpid()}-{number}-{next(count)}"
        body = {
            "signal_id": key,
            "strategy": "bench",
            "account": account,
            "symbol": SYMBOL,
            "action": "BUY",
            "quantity": "1000",
        }
        request = SignalRequest(
            signal_id=key,
            strategy="bench",
            account=account,
            symbol=SYMBOL,
            action=Action.BUY,
            quantity=Decimal(1000),
            body=body,
        )
        if submit_signal(request, client=client, now=datetime.now(UTC)).status != 202:
            raise RuntimeError("the signal was refused")

    return step


def _fills(account: str, number: int) -> Callable[[], None]:
    from brokers.contract import FillReport, Liquidity, OrderReport, Side, VenueStatus
    from orders.booking import venue_reports
    from orders.models import Order

    waiting = Order.objects.filter(connection__name=account, status="ACCEPTED").order_by("pk")
    ids: Any = iter(list(waiting.values_list("client_order_id", flat=True)))

    def step() -> None:
        client_order_id = next(ids)
        now = datetime.now(UTC)
        fill = FillReport(
            client_order_id=client_order_id,
            venue_order_id=f"v{client_order_id}",
            venue_trade_id=f"t{client_order_id}",
            symbol=SYMBOL,
            side=Side.BUY,
            quantity=Decimal(1000),
            price=Decimal("1.10001"),
            commission=Decimal("0.11"),
            commission_currency="USD",
            liquidity=Liquidity.TAKER,
            traded_at=now,
        )
        report = OrderReport(
            client_order_id=client_order_id,
            venue_order_id=f"v{client_order_id}",
            status=VenueStatus.FILLED,
            filled_quantity=Decimal(1000),
            reported_at=now,
            fills=(fill,),
        )
        venue_reports.book(account, [report], now=now)

    return step


if __name__ == "__main__":
    main()
