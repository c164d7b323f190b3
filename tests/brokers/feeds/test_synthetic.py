"""The synthetic market: seeded, on the tick, never crossed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.feeds.synthetic import BEHAVIOURS, INSTRUMENTS, SyntheticMarket
from brokers.instruments.kinds import InstrumentKind, is_multiple
from brokers.models import Instrument

T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=250)
SPECS = {spec["symbol"]: spec for spec in INSTRUMENTS}
STEPS = 2400  # ten minutes
FX = {s for s, spec in SPECS.items() if spec["kind"] == InstrumentKind.FX}


def run(seed, steps=STEPS):
    market = SyntheticMarket(seed)
    return [market.step(T0 + n * STEP) for n in range(steps)]


@pytest.fixture(scope="module")
def updates():
    return [update for step in run(7) for update in step]


def test_a_seed_is_a_market():
    assert run(7, 200) == run(7, 200)
    assert run(7, 200) != run(8, 200)


def test_the_first_step_quotes_every_symbol():
    assert [update.symbol for update in run(7, 1)[0]] == list(SPECS) == list(BEHAVIOURS)


def test_it_makes_five_to_twenty_quotes_a_second(updates):
    assert 5 <= len(updates) / (STEPS * STEP.total_seconds()) <= 20


def test_prices_are_on_the_tick_positive_and_never_crossed(updates):
    for u in updates:
        tick = SPECS[u.symbol]["tick_size"]
        for price in (u.bid, u.ask, u.last):
            assert price is None or (type(price) is Decimal and price > 0)
            assert price is None or is_multiple(price, tick)
        assert u.bid is None or u.bid < u.ask
        assert u.bid is None or u.bid <= u.last <= u.ask


def test_sizes_are_lots_and_unknown_in_fx(updates):
    for u in updates:
        for size in (u.bid_size, u.ask_size):
            if u.symbol in FX or u.symbol == "NIFTY":
                assert size is None
            else:
                assert size > 0
                assert is_multiple(size, SPECS[u.symbol]["lot_size"])


def test_the_index_has_a_last_price_and_no_book(updates):
    nifty = [u for u in updates if u.symbol == "NIFTY"]

    assert nifty
    assert all(u.last and u.bid is None and u.ask is None for u in nifty)
    assert not SPECS["NIFTY"]["is_tradable"]


def test_spreads_and_moves_are_plausible(updates):
    """A spread of at most 20 basis points; within ten minutes a price moves, and by under 5 %."""
    for symbol, behaviour in BEHAVIOURS.items():
        mine = [u for u in updates if u.symbol == symbol]
        lasts = [u.last for u in mine]
        assert behaviour.start * Decimal("0.95") < min(lasts) < max(lasts)
        assert max(lasts) < behaviour.start * Decimal("1.05")
        for u in mine:
            assert u.bid is None or (u.ask - u.bid) / u.bid < Decimal("0.002")


def test_time_is_the_caller_s(updates):
    times = [u.as_of for u in updates]
    assert times[0] == T0
    assert times == sorted(times)


def test_the_instruments_can_be_stored(db):
    for spec in INSTRUMENTS:
        row = Instrument(**spec)
        row.full_clean()
        row.save()

    assert Instrument.objects.count() == 11
