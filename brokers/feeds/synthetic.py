"""A synthetic market for the demo and for tests: seeded, so a seed is a market.

Each symbol's log price walks at random and is pulled back to where it began (Ornstein-Uhlenbeck);
prices and sizes are put on tick and lot as decimals. FX is quoted without sizes, as OANDA does; an
index has a last price and no book.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Any

from brokers.contract import QuoteUpdate
from brokers.instruments.kinds import InstrumentKind

FX, CRYPTO, EQUITY, INDEX = (
    InstrumentKind.FX,
    InstrumentKind.CRYPTO,
    InstrumentKind.EQUITY,
    InstrumentKind.INDEX,
)
PULL = 0.002  # share of the distance to the start that a step takes back
MOVES = 0.35  # share of the symbols that move in a step: 15 quotes a second at 4 steps


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a symbol is quoted. `step` is the standard deviation of a step's log return.

    The spread is from `spread_ticks` to twice that; without one there is no book.
    """

    start: Decimal
    spread_ticks: int
    step: float
    size: Decimal | None  # the middle of its quoted sizes, or unknown


def _instrument(symbol: str, kind: InstrumentKind, **values: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "kind": kind.value,
        "multiplier": Decimal(1),
        "pip_size": None,
        "is_tradable": kind is not INDEX,
        **values,
    }


def _fx(symbol: str, description: str, tick: str, pip: str) -> dict[str, Any]:
    return _instrument(
        symbol,
        FX,
        description=description,
        exchange="FX",
        currency=symbol[3:],
        tick_size=Decimal(tick),
        lot_size=Decimal(1000),
        pip_size=Decimal(pip),
    )


def _coin(symbol: str, description: str, tick: str, lot: str) -> dict[str, Any]:
    return _instrument(
        symbol,
        CRYPTO,
        description=description,
        exchange="CRYPTO",
        currency="USDT",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
    )


def _share(
    symbol: str, description: str, exchange: str, currency: str, tick: str
) -> dict[str, Any]:
    return _instrument(
        symbol,
        EQUITY,
        description=description,
        exchange=exchange,
        currency=currency,
        tick_size=Decimal(tick),
        lot_size=Decimal(1),
    )


INSTRUMENTS: Sequence[dict[str, Any]] = (
    _fx("EURUSD", "Euro against US dollar", "0.00001", "0.0001"),
    _fx("GBPUSD", "Pound sterling against US dollar", "0.00001", "0.0001"),
    _fx("USDJPY", "US dollar against Japanese yen", "0.001", "0.01"),
    _coin("BTCUSDT", "Bitcoin", "0.01", "0.00001"),
    _coin("ETHUSDT", "Ether", "0.01", "0.0001"),
    _coin("ADAUSDT", "Cardano", "0.0001", "0.1"),
    _share("AAPL", "Apple", "NASDAQ", "USD", "0.01"),
    _share("MSFT", "Microsoft", "NASDAQ", "USD", "0.01"),
    _share("RELIANCE", "Reliance Industries", "NSE", "INR", "0.05"),
    _share("SBIN", "State Bank of India", "NSE", "INR", "0.05"),
    _instrument(
        "NIFTY",
        INDEX,
        description="Nifty 50",
        exchange="NSE",
        currency="INR",
        tick_size=Decimal("0.05"),
        lot_size=Decimal(1),
    ),
)
BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "EURUSD": Behaviour(Decimal("1.08500"), 8, 0.00003, None),
        "GBPUSD": Behaviour(Decimal("1.26400"), 12, 0.00004, None),
        "USDJPY": Behaviour(Decimal("154.300"), 10, 0.00004, None),
        "BTCUSDT": Behaviour(Decimal("91250.00"), 100, 0.00015, Decimal(2)),
        "ETHUSDT": Behaviour(Decimal("3120.00"), 12, 0.0002, Decimal(20)),
        "ADAUSDT": Behaviour(Decimal("0.7420"), 1, 0.0003, Decimal(20_000)),
        "AAPL": Behaviour(Decimal("228.50"), 2, 0.00008, Decimal(400)),
        "MSFT": Behaviour(Decimal("415.20"), 3, 0.00008, Decimal(300)),
        "RELIANCE": Behaviour(Decimal("1265.00"), 2, 0.0001, Decimal(500)),
        "SBIN": Behaviour(Decimal("804.50"), 1, 0.0001, Decimal(1500)),
        "NIFTY": Behaviour(Decimal("24010.00"), 0, 0.00006, None),
    }
)
_SPECS = {spec["symbol"]: spec for spec in INSTRUMENTS}


class SyntheticMarket:
    """The market of one seed. The first step quotes every symbol."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 a market, not a secret
        self._start = {symbol: math.log(b.start) for symbol, b in BEHAVIOURS.items()}
        self._logs = dict(self._start)
        self._first = True

    def step(self, now: datetime) -> list[QuoteUpdate]:
        """Return the quotes that changed; `now` becomes their time."""
        updates = []
        for symbol, behaviour in BEHAVIOURS.items():
            moves = self._random.random() < MOVES
            drift = PULL * (self._start[symbol] - self._logs[symbol])
            self._logs[symbol] += drift + self._random.gauss(0, behaviour.step)
            if moves or self._first:
                updates.append(self._quote(symbol, behaviour, now))
        self._first = False
        return updates

    def _quote(self, symbol: str, behaviour: Behaviour, now: datetime) -> QuoteUpdate:
        tick: Decimal = _SPECS[symbol]["tick_size"]
        middle = _on_step(Decimal(repr(math.exp(self._logs[symbol]))), tick)
        if not behaviour.spread_ticks:
            return QuoteUpdate(symbol=symbol, as_of=now, last=middle)
        spread = behaviour.spread_ticks + self._random.randint(0, behaviour.spread_ticks)
        bid = middle - spread // 2 * tick
        ask = bid + spread * tick
        last = bid if self._random.random() < 0.5 else ask
        return QuoteUpdate(
            symbol=symbol,
            as_of=now,
            bid=bid,
            ask=ask,
            bid_size=self._size(symbol, behaviour.size),
            ask_size=self._size(symbol, behaviour.size),
            last=last,
        )

    def _size(self, symbol: str, middle: Decimal | None) -> Decimal | None:
        if middle is None:
            return None
        lot: Decimal = _SPECS[symbol]["lot_size"]
        drawn = middle * Decimal(repr(self._random.lognormvariate(0, 0.6)))
        return max(_on_step(drawn, lot), lot)


def _on_step(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step
