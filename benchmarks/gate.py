"""`python -m benchmarks gate`: what the whole gate costs an intake, with many limits and positions.

One account has no limit and holds nothing; another has 50 limits, 15 of which apply to the order,
and 500 open positions of 20 strategies. Signals go to both in turns; then to both again on top of a
history of filled orders.
"""

import itertools
import statistics
import time
from datetime import UTC, datetime
from decimal import Decimal

from benchmarks import servers, stored
from benchmarks.measure import say

BARE, FULL = servers.ACCOUNTS[:2]
STRATEGIES, SYMBOLS = 20, 25
EACH, BLOCKS, HISTORY = 150, 5, 200_000
PLENTY, COLLAR = Decimal(10**12), Decimal(500)


def gate() -> str:
    """Measure; return Markdown."""
    _limits_and_positions()
    lines = [
        "| filled orders stored | intake, no limit (ms, p50) | intake, whole gate | cost |",
        "|---|---|---|---|",
    ]
    for history in (0, HISTORY):
        if history:
            for account in (BARE, FULL):
                stored.history(account, count=history // 2)
        bare, full = _measure()
        lines.append(f"| {history:,} | {bare:.2f} | {full:.2f} | {(full - bare) / bare:.2f}x |")
        say(lines[-1])
    return "\n".join(lines)


def _measure() -> tuple[float, float]:
    found: list[tuple[float, float]] = []
    count = itertools.count()
    for _ in range(BLOCKS):
        _refresh()
        found.append((_median(BARE, count), _median(FULL, count)))
    bare, full = zip(*found, strict=True)
    return statistics.median(bare), statistics.median(full)


def _median(account: str, count: "itertools.count[int]") -> float:
    from execution_site.demo import seed
    from orders.intake.requests import SignalRequest
    from orders.intake.submit_signal import submit_signal
    from orders.models import Action, ApiClient

    client = ApiClient.objects.get(name=seed.STRATEGY_CLIENT)
    taken = []
    for _ in range(EACH):
        request = SignalRequest(
            signal_id=f"{time.time_ns()}-{next(count)}",
            strategy="s0",
            account=account,
            symbol=servers.SYMBOL,
            action=Action.BUY,
            quantity=Decimal(1000),
            body={"n": str(next(count))},
        )
        started = time.perf_counter()
        outcome = submit_signal(request, client=client, now=datetime.now(UTC))
        taken.append((time.perf_counter() - started) * 1000)
        if outcome.status != 202:
            raise RuntimeError(outcome.body)
    stored.nothing_waits()
    return statistics.median(taken)


def _limits_and_positions() -> None:
    from brokers.models import BrokerConnection, Instrument
    from portfolio.models import Position
    from risk.limits import Metric
    from risk.models import RiskLimit

    account = BrokerConnection.objects.get(name=FULL)
    BrokerConnection.objects.filter(name=FULL).update(capital=PLENTY)
    account_wide = [
        *(Metric.QUOTE_AGE_SECONDS, Metric.MAX_SPREAD, Metric.PRICE_COLLAR),
        *(Metric.MAX_ORDER_QUANTITY, Metric.MAX_ORDER_NOTIONAL, Metric.MAX_POSITION),
        *(Metric.MAX_OPEN_ORDERS, Metric.MAX_GROSS_EXPOSURE, Metric.CONCENTRATION),
        *(Metric.DAILY_TRADES, Metric.DAILY_LOSS, Metric.DRAWDOWN),
    ]
    for metric in account_wide:
        value = COLLAR if metric is Metric.PRICE_COLLAR else PLENTY
        RiskLimit.objects.create(metric=metric, value=value, connection=account)
    RiskLimit.objects.create(metric=Metric.MARGIN_CUSHION, value=Decimal("1.5"), connection=account)
    scoped = [Metric.MAX_GROSS_EXPOSURE] * STRATEGIES + [Metric.MAX_OPEN_ORDERS] * 17
    for n, metric in enumerate(scoped):
        RiskLimit.objects.create(
            metric=metric, value=PLENTY, connection=account, strategy=f"s{n % STRATEGIES}"
        )
    now = datetime.now(UTC)
    held = [
        Instrument.objects.create(
            symbol=f"B{n}", kind="EQUITY", currency="USD", tick_size=Decimal("0.01"), lot_size=1
        )
        for n in range(SYMBOLS)
    ]
    Position.objects.bulk_create(
        Position(
            connection=account,
            strategy=f"s{n}",
            instrument=instrument,
            quantity=10,
            cost=1000,
            folded_at=now,
            updated_at=now,
        )
        for n in range(STRATEGIES)
        for instrument in held
    )


def _refresh() -> None:
    """Quote everything as of now, and work out the day, as the market loop does."""
    from brokers import quotes
    from brokers.contract import QuoteUpdate
    from brokers.models import BrokerConnection
    from risk import days

    now = datetime.now(UTC)
    price = Decimal(100)
    updates = [QuoteUpdate(symbol=f"B{n}", as_of=now, bid=price, ask=price) for n in range(SYMBOLS)]
    quotes.store(updates, now=now)
    servers.quote()
    account = BrokerConnection.objects.get(name=FULL)
    days.evaluate(connection_id=account.pk, now=now, trading_date=account.trading_date(now))
