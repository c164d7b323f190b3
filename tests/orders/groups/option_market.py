"""A small option market for tests: one index, one expiry, strikes quoted, and valued."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from brokers import quotes
from brokers.contract import QuoteUpdate
from brokers.instruments.symbols import Right, Symbol
from brokers.models import Instrument
from portfolio import revaluation
from portfolio.black76 import greeks_of

STRIKES = (90, 95, 100, 105, 110)
LOT = 10


def expiry():
    return datetime.now(UTC).date() + timedelta(days=30)


def symbol(strike, right):
    return str(Symbol("IDX", expiry(), Decimal(strike), Right(right)))


def make():
    """Make the index, its options, and quotes for all of them."""
    common = {"currency": "USD", "tick_size": Decimal("0.01"), "exchange": "OPT"}
    Instrument.objects.create(symbol="IDX", kind="INDEX", lot_size=1, is_tradable=False, **common)
    for strike in STRIKES:
        for right in Right:
            Instrument.objects.create(
                symbol=symbol(strike, right),
                kind="OPTION",
                underlying="IDX",
                strike=strike,
                right=right.value,
                expiry_date=expiry(),
                lot_size=LOT,
                multiplier=1,
                **common,
            )
    quote()


def quote(spot=100.0, *, at=None, half=Decimal("0.05")):
    """Quote the index and every option around Black-76 at 40 %."""
    now = at or datetime.now(UTC)
    updates = [QuoteUpdate(symbol="IDX", as_of=now, last=Decimal(str(spot)))]
    for strike in STRIKES:
        for right, sign in ((Right.CALL, 1.0), (Right.PUT, -1.0)):
            price = greeks_of(
                spot, float(strike), years=30 / 365, volatility=0.4, rate=0.0, sign=sign
            ).price
            middle = max(Decimal(str(round(price, 2))), half + Decimal("0.01"))
            updates.append(
                QuoteUpdate(
                    symbol=symbol(strike, right),
                    as_of=now,
                    bid=middle - half,
                    ask=middle + half,
                    bid_size=Decimal(1000),
                    ask_size=Decimal(1000),
                )
            )
    quotes.store(updates, now=now)
    revaluation.revalue({"IDX"}, now=now)
