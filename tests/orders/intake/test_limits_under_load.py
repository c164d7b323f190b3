"""1,000 orders from 4 processes with 40 connections against one limit: never one too many.

In the suite one run each; RUNS=20 makes as many. Two mutants of the locks, under a smaller storm,
show that it can fail.
"""

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connections, transaction

from brokers import quotes
from brokers.contract import QuoteUpdate
from brokers.models import Instrument
from orders.models import Order
from portfolio.models import OptionGreeks
from risk.models import RiskLimit
from tests.databases import url_of

RUNS = int(os.environ.get("RUNS", "1"))
PROCESSES, THREADS, EACH, EACH_OF_A_MUTANT = 4, 10, 25, 8
LOAD = Path(__file__).with_name("signal_load.py")


pytestmark = pytest.mark.alone


@pytest.fixture
def market(account, trader, valkey):
    """Forty shares at 100, besides the one at 100; every limit is the test's."""
    names = ["AAPL", *(f"S{n}" for n in range(PROCESSES * THREADS))]
    for name in names[1:]:
        Instrument.objects.create(
            symbol=name, kind="EQUITY", currency="USD", tick_size=Decimal("0.01"), lot_size=1
        )
    now = datetime.now(UTC)
    price = {"bid": Decimal(100), "ask": Decimal(100)}
    quotes.store([QuoteUpdate(symbol=name, as_of=now, **price) for name in names], now=now)
    RiskLimit.objects.create(metric="quote_age_seconds", value=600)


def storm(db, *, mutant="", shared="many"):
    """Let every process send at the same moment; return how many signals were approved."""
    each = EACH_OF_A_MUTANT if mutant else EACH
    command = [sys.executable, LOAD, PROCESSES, THREADS, each, mutant, shared]
    running = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if mutant else None,
        env={**os.environ, "DATABASE_URL": url_of(db)},
        text=True,
    )
    assert running.stdout.readline() == "ready\n"
    said = json.loads(running.communicate("go\n")[0])
    assert sum(said.values()) == PROCESSES * THREADS * each
    return said.get("202", 0)


def as_options():
    """Make the forty shares options of a vega of 0.5 each."""
    expiry = datetime.now(UTC).date() + timedelta(days=30)
    options = Instrument.objects.filter(symbol__startswith="S")
    options.update(kind="OPTION", underlying="IDX", strike=100, right="CE", expiry_date=expiry)
    now = datetime.now(UTC)
    unit = {"delta": 0.5, "gamma": 0.01, "vega": 0.5, "theta": -0.1, "rho": 0.0}
    for option in options:
        OptionGreeks.objects.create(
            instrument=option, rate=0, years=0.1, as_of=now, valued_at=now, **unit
        )


LIMITS = [
    ("daily_trades", 100, "many"),
    ("max_open_orders", 100, "many"),
    ("max_gross_exposure", 100 * 105, "many"),  # a market order counts at the ask and 5 % more
    ("max_position", 100, "one"),
]


@pytest.mark.parametrize(("metric", "value", "shared"), LIMITS)
def test_exactly_as_many_pass_as_the_limit_allows(db, market, metric, value, shared):
    limit = RiskLimit.objects.create(metric=metric, value=value)

    for run in range(RUNS):
        approved = storm(db, shared=shared)
        assert (approved, Order.objects.count()) == (100, 100 * (run + 1))
        limit.value += value  # what is left for the next run: as much again
        limit.save()


def test_the_vega_of_the_book_is_never_above_its_limit(db, market):
    as_options()
    RiskLimit.objects.create(metric="max_vega", value=50, underlying="IDX")

    assert storm(db) == 100


def test_a_limit_lowered_in_a_storm_holds_from_its_commit_on(db, market):
    """Row 23 of the fault matrix: after the new value's commit nothing is admitted by the old."""
    limit = RiskLimit.objects.create(metric="max_open_orders", value=10_000)
    counted = []

    def lower():
        while Order.objects.count() < 200:
            time.sleep(0.01)
        with transaction.atomic():
            limit.value = 100
            limit.save()  # it waits for the verdicts that are being made, and holds up new ones
            counted.append(Order.objects.count())
        connections.close_all()

    lowering = threading.Thread(target=lower)
    lowering.start()
    approved = storm(db)
    lowering.join()

    assert 200 <= counted[0] < 1000
    assert approved == counted[0]


@pytest.mark.parametrize("mutant", ["no_locks", "lock_and_read_at_once"])
@pytest.mark.parametrize(
    ("metric", "value"), [("max_open_orders", 100), ("daily_trades", 100), ("max_vega", 50)]
)
def test_the_mutants_of_the_locks_let_too_many_pass(db, market, mutant, metric, value):
    if metric == "max_vega":
        as_options()
    RiskLimit.objects.create(metric=metric, value=value)

    assert storm(db, mutant=mutant) > 100


def test_without_the_lock_of_the_book_too_much_of_one_instrument_is_bought(db, market):
    RiskLimit.objects.create(metric="max_position", value=100)

    assert storm(db, mutant="no_locks", shared="one") > 100
