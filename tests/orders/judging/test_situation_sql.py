"""What the gate reads of exposure and open orders equals what is worked out in plain Python."""

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from brokers import quotes
from brokers.contract import QuoteUpdate, Side
from brokers.models import BrokerConnection, Instrument
from orders.control import limit_use
from orders.judging import gather
from orders.judging.case import OrderSpec, Proposed
from orders.models import Order, Origin
from portfolio.models import OptionGreeks, Position
from risk.gate import judge
from risk.limits import GREEK_OF, Metric
from risk.models import RiskLimit
from tests.clock import now

STRATEGIES = ["alpha", "beta", "gamma"]
UNDERLYINGS = ["TECH", "BANK"]
COMPARED = (Metric.MAX_GROSS_EXPOSURE, Metric.MAX_OPEN_ORDERS, *GREEK_OF)


OPTION = {"strike": 90, "right": "CE", "expiry_date": date(2030, 1, 1)}


@pytest.fixture
def book(account, trader):
    """Two accounts, six instruments of two underlyings, two of them options, each quoted.

    And AAPL, of which nothing is held.
    """
    other = BrokerConnection.objects.create(name="other", broker="paper", environment="paper")
    shares = [
        Instrument.objects.create(
            symbol=f"S{n}",
            kind="EQUITY" if n < 4 else "OPTION",
            **({} if n < 4 else OPTION),
            currency="USD",
            tick_size=Decimal("0.01"),
            lot_size=1,
            multiplier=n % 2 + 1,
            underlying=UNDERLYINGS[n % 2],
        )
        for n in range(6)
    ]
    for n, option in enumerate(shares[4:], start=1):
        unit = {"delta": 0.25 * n, "gamma": 0.0625, "vega": 1.5 * n, "theta": -0.5, "rho": -0.125}
        OptionGreeks.objects.create(
            instrument=option, rate=0, years=0.1, as_of=now(), valued_at=now(), **unit
        )
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


def look():
    """Return what a verdict on one share of AAPL would be made of, and the state it was read in."""
    wanted = Proposed(
        account="paper", strategy="alpha", symbol="AAPL", side=Side.BUY, quantity=Decimal(1)
    )
    case = gather.open_case(wanted, OrderSpec(client="rest"), now=now())
    with transaction.atomic():
        (case,) = gather.lock([case])
        seen = gather.read(case)
    return gather.facts_for(case, seen), seen


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_of_working_it_out_agree(book, account, seed):
    accounts, shares = book
    fill_at_random(seed, accounts, shares)
    limits(account)
    _, seen = look()

    plain = limit_use.load(["paper", "other"])
    rows = {row.pk: row for row in RiskLimit.objects.select_related("connection")}
    assert len(seen.limits) == len(rows) == 6 * len(COMPARED)
    for limit in seen.limits:
        used = limit.used
        if limit.metric in GREEK_OF:
            used = max(abs(limit.low), abs(limit.used))
        assert used == limit_use.use(rows[limit.id], plain), str(rows[limit.id])


@pytest.mark.parametrize("unknown", ["quotes grown old", "not valued"])
def test_greeks_of_something_held_that_are_not_known_make_the_use_unknown(book, account, unknown):
    (_, _), shares = book
    option = shares[4]
    Position.objects.create(
        connection=account, strategy="beta", instrument=option, quantity=1, updated_at=now()
    )
    if unknown == "not valued":
        OptionGreeks.objects.filter(instrument=option).delete()
    else:
        OptionGreeks.objects.update(as_of=now() - timedelta(seconds=11))
    RiskLimit.objects.create(metric=Metric.MAX_VEGA, value=100)
    judged, _ = look()

    verdict = judge(judged)

    assert [c.code for c in verdict.checks if c.status != "PASSED"] == ["max_vega"]
