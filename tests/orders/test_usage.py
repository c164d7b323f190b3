"""What the gate reads of exposure and open orders equals what is worked out in plain Python."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import transaction

from brokers import quotes
from brokers.contract import QuoteUpdate, Side
from brokers.models import BrokerConnection, Instrument
from orders import facts, limit_use
from orders.models import Order, Origin
from orders.situation import Asked
from portfolio.models import Position
from risk.limits import Metric
from risk.models import RiskLimit

STRATEGIES = ["alpha", "beta", "gamma"]
UNDERLYINGS = ["TECH", "BANK"]
COMPARED = (Metric.MAX_GROSS_EXPOSURE, Metric.MAX_OPEN_ORDERS)


def now():
    return datetime.now(UTC)


@pytest.fixture
def book(account, trader):
    """Two accounts, six shares of two underlyings with a quote each, and AAPL, of which nothing."""
    other = BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    shares = [
        Instrument.objects.create(
            symbol=f"S{n}",
            kind="EQUITY",
            currency="USD",
            tick_size=Decimal("0.01"),
            lot_size=1,
            multiplier=n % 2 + 1,
            underlying=UNDERLYINGS[n % 2],
        )
        for n in range(6)
    ]
    updates = [
        QuoteUpdate(symbol=s.symbol, as_of=now(), bid=Decimal(90 + n), ask=Decimal(92 + n))
        for n, s in enumerate(shares)
    ]
    updates.append(QuoteUpdate(symbol="AAPL", as_of=now(), bid=Decimal(100), ask=Decimal(100)))
    quotes.store(updates, now=now())
    return [account, other], shares


def fill_at_random(seed, accounts, shares):
    rng = random.Random(seed)
    for connection in accounts:
        for strategy in STRATEGIES:
            for share in rng.sample(shares, 4):
                quantity = rng.randint(-50, 50)
                Position.objects.create(
                    connection=connection,
                    strategy=strategy,
                    instrument=share,
                    quantity=quantity,
                    cost=quantity * 90,
                    updated_at=now(),
                )
    for n in range(40):
        limit_price = Decimal(rng.randint(80, 110))
        quantity = rng.randint(1, 30)
        Order.objects.create(
            client_order_id=f"{seed}-{n}",
            origin=Origin.SIGNAL,
            connection=rng.choice(accounts),
            strategy=rng.choice(STRATEGIES),
            instrument=rng.choice(shares),
            side=rng.choice(["BUY", "SELL"]),
            order_type="LIMIT",
            time_in_force="GTC",
            quantity=quantity,
            reserved_quantity=rng.choice([None, None, quantity + 5]),
            filled_quantity=rng.randint(0, quantity - 1),
            limit_price=limit_price,
            reserved_price=limit_price,
            status=rng.choice(["PENDING", "ACCEPTED", "IN_DOUBT", "EXPIRED", "CANCELLED"]),
            trading_date=now().date(),
            created_at=now(),
            updated_at=now(),
        )


def limits(account):
    scopes = [
        {},
        {"connection": account},
        {"strategy": "alpha"},
        {"connection": account, "strategy": "alpha"},
        {"underlying": "AAPL"},
        {"symbol": "AAPL"},
    ]
    for scope in scopes:
        for metric in COMPARED:
            RiskLimit.objects.create(metric=metric, value=10**9, **scope)


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_of_working_it_out_agree(book, account, seed):
    accounts, shares = book
    fill_at_random(seed, accounts, shares)
    limits(account)
    asked = Asked(
        account="paper", strategy="alpha", symbol="AAPL", side=Side.BUY, quantity=Decimal(1)
    )
    known = facts.references("paper", "AAPL", now=now())
    with transaction.atomic():
        shared = facts.lock(known, asked, now=now())
        seen = facts.read(known, asked, shared, now=now(), day=now().date())

    plain = limit_use.load(["paper", "other"])
    rows = {row.pk: row for row in RiskLimit.objects.select_related("connection")}
    compared = {limit.id: limit.used for limit in seen.limits}
    assert len(compared) == len(rows) == 12
    for pk, used in compared.items():
        assert used == limit_use.use(rows[pk], plain), str(rows[pk])
