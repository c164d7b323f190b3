"""The demo's derivatives: futures and options on the synthetic NIFTY, quoted with a smile.

Three expiries of 41 strikes around where the index begins. Their quotes follow the index: Black-76
with a volatility that rises away from the forward, a spread that widens with it, and no bid where
an option is worth less than a tick.
"""

import math
import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from brokers.calendars.exchanges import at
from brokers.contract import QuoteUpdate
from brokers.feeds.synthetic import BEHAVIOURS, SyntheticMarket
from brokers.instruments.kinds import InstrumentKind
from brokers.instruments.symbols import Right, Symbol
from brokers.models import Instrument
from portfolio.black76 import greeks_of

UNDERLYING = "NIFTY"
EXCHANGE = "NFO"
DAYS_AHEAD = (7, 14, 28)
STRIKES_EACH_SIDE = 20
STRIKE_STEP = 50
TICK = Decimal("0.05")
LOT = Decimal(65)
FREEZE = Decimal(1800)
CUT_OFF = time(15, 40)
CARRY = 0.05  # what futures are above the spot, per year
LOOK_AGAIN = 60  # steps until it looks again which contracts there are
EVERY = 3  # steps between the quotes of one expiry and those of the next
CENTRE = int(BEHAVIOURS[UNDERLYING].start) // STRIKE_STEP * STRIKE_STEP


def specs(today: date) -> list[dict[str, Any]]:
    """Return the instruments of the chain that begins on a day."""
    made = []
    for days in DAYS_AHEAD:
        expiry = today + timedelta(days=days)
        common = {
            "exchange": EXCHANGE,
            "currency": "INR",
            "multiplier": Decimal(1),
            "tick_size": TICK,
            "lot_size": LOT,
            "freeze_quantity": FREEZE,
            "underlying": UNDERLYING,
            "expiry_date": expiry,
            "cut_off_at": at(expiry, CUT_OFF, EXCHANGE),
            "settlement": "CASH",
            "margin_rate": Decimal("0.15"),
        }
        future = str(Symbol(UNDERLYING, expiry))
        made.append(common | {"symbol": future, "kind": InstrumentKind.FUTURE.value})
        for n in range(-STRIKES_EACH_SIDE, STRIKES_EACH_SIDE + 1):
            strike = Decimal(CENTRE + n * STRIKE_STEP)
            made += [
                common
                | {
                    "symbol": str(Symbol(UNDERLYING, expiry, strike, right)),
                    "kind": InstrumentKind.OPTION.value,
                    "strike": strike,
                    "right": right.value,
                }
                for right in Right
            ]
    return made


@dataclass(frozen=True, slots=True)
class Contract:
    """One future or option as it is quoted; `strike` 0 and `sign` 0 for a future."""

    symbol: str
    cut_off_at: datetime
    strike: float
    sign: float


def contracts(now: datetime) -> list[Contract]:
    """Return the chain's contracts that still trade."""
    rows = Instrument.objects.filter(
        exchange=EXCHANGE, underlying=UNDERLYING, cut_off_at__gt=now
    ).order_by("cut_off_at", "symbol")
    return [
        Contract(
            row.symbol,
            row.cut_off_at,
            float(row.strike or 0),
            0.0 if not row.right else 1.0 if row.right == Right.CALL else -1.0,
        )
        for row in rows
        if row.cut_off_at is not None
    ]


class DemoMarket:
    """The synthetic market and its chain: each expiry in turn, as the index then stands."""

    def __init__(self, seed: int) -> None:
        self._market = SyntheticMarket(seed)
        self._random = random.Random(seed)  # noqa: S311 a market, not a secret
        self._index = float(BEHAVIOURS[UNDERLYING].start)
        self._expiries: list[list[Contract]] = []
        self._steps = 0

    def step(self, now: datetime) -> list[QuoteUpdate]:
        """Return the quotes that changed; `now` becomes their time."""
        updates = self._market.step(now)
        for update in updates:
            if update.symbol == UNDERLYING and update.last is not None:
                self._index = float(update.last)
        if self._steps % LOOK_AGAIN == 0:
            chain = contracts(now)
            ends = sorted({contract.cut_off_at for contract in chain})
            self._expiries = [[c for c in chain if c.cut_off_at == end] for end in ends]
        if self._expiries and self._steps % EVERY == 0:
            turn = self._steps // EVERY % len(self._expiries)
            updates += [self._quote(contract, now) for contract in self._expiries[turn]]
        self._steps += 1
        return updates

    def _quote(self, contract: Contract, now: datetime) -> QuoteUpdate:
        years = max((contract.cut_off_at - now).total_seconds(), 0.0) / (365 * 86_400)
        forward = self._index * math.exp(CARRY * years)
        price, lots = forward, 40
        if contract.sign:
            moneyness = math.log(contract.strike / forward)
            lots = max(1, round(40 * math.exp(-abs(moneyness) * 40)))
            price = greeks_of(
                forward,
                contract.strike,
                years=years,
                volatility=_smile(moneyness, years),
                rate=0.0,
                sign=contract.sign,
            ).price
        half = max(1, round(price * 0.002 / float(TICK)))
        middle = round(price / float(TICK))
        bid, ask = (middle - half) * TICK, (middle + half) * TICK
        sizes = [LOT * self._random.randint(1, 2 * lots) for _ in range(2)]
        return QuoteUpdate(
            symbol=contract.symbol,
            as_of=now,
            bid=bid,
            ask=ask,
            bid_size=sizes[0],
            ask_size=sizes[1],
            last=middle * TICK,
        )


def _smile(moneyness: float, years: float) -> float:
    """Return the volatility at a log-moneyness: higher for low strikes, steeper near expiry."""
    root = math.sqrt(max(years, 1 / 365))
    return 0.13 - 0.06 * moneyness / root + 0.35 * moneyness * moneyness / root
