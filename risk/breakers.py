"""When a circuit breaker trips: pure. It is fed one reading a second and says where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

CONFIRMATIONS = 3
APART = timedelta(seconds=1)
QUOTE_SECONDS = timedelta(seconds=10)


class BreakerKind(StrEnum):
    """What a breaker watches, over its window where it has one."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    REJECTION_RATE = "rejection_rate"
    VENUE_ERRORS = "venue_errors"
    SLIPPAGE = "slippage"
    STALE_DATA = "stale_data"
    RUNAWAY = "runaway"


#: The unit of each breaker's threshold.
UNITS: Mapping[BreakerKind, str] = {
    BreakerKind.DAILY_LOSS: "money lost on the trading day, with commission",
    BreakerKind.DRAWDOWN: "money below the day's peak",
    BreakerKind.LOSS_STREAK: "losing trades in a row",
    BreakerKind.REJECTION_RATE: "share of the orders sent that the venue rejected (from 5 orders)",
    BreakerKind.VENUE_ERRORS: "attempts without a clear answer",
    BreakerKind.SLIPPAGE: "basis points of the mid at the grant, mean over fills",
    BreakerKind.STALE_DATA: "seconds since the oldest quote of what is held",
    BreakerKind.RUNAWAY: "sends of one order",
}
#: Money at the mercy of one bad quote: these want several readings on different quotes.
CONFIRMED = frozenset({BreakerKind.DAILY_LOSS, BreakerKind.DRAWDOWN})


class BreakerAction(StrEnum):
    """What a tripped breaker does beside blocking entries."""

    BLOCK = "BLOCK"
    CANCEL = "CANCEL"
    FLATTEN = "FLATTEN"


class BreakerState(StrEnum):
    """ARMED lets pass; UNSAFE, not evaluable, blocks while it lasts; TRIPPED until it is reset."""

    ARMED = "ARMED"
    UNSAFE = "UNSAFE"
    TRIPPED = "TRIPPED"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a breaker reads at one moment. `value` None: it is not known.

    `quote_number` tells readings on different quotes apart; `quoted_at` is of the oldest quote the
    value rests on, None where it rests on none.
    """

    at: datetime
    value: Decimal | None
    detail: str = ""
    quote_number: int = 0
    quoted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a breaker stands between two readings."""

    state: BreakerState = BreakerState.ARMED
    streak: int = 0
    counted_at: datetime | None = None
    quote_number: int = 0


def advance(
    standing: Standing, reading: Reading, *, kind: BreakerKind, threshold: Decimal
) -> Standing:
    """Return where a breaker stands after a reading; TRIPPED stays until somebody resets it.

    Money is confirmed: three readings at or past the threshold, at least a second apart, on
    different quotes, unless no quote is part of the figure. What is not a number, is missing, or
    rests on a quote older than 10 s is not safe: entries wait while that lasts.
    """
    if standing.state is BreakerState.TRIPPED:
        return standing
    if is_unsafe(reading, kind=kind):
        return replace(standing, state=BreakerState.UNSAFE)
    value = reading.value
    assert value is not None
    if value < threshold:
        return Standing(quote_number=reading.quote_number)
    if kind not in CONFIRMED or reading.quoted_at is None:
        return Standing(BreakerState.TRIPPED, 1, reading.at, reading.quote_number)
    too_soon = standing.counted_at is not None and reading.at - standing.counted_at < APART
    same_quote = standing.streak > 0 and reading.quote_number == standing.quote_number
    if too_soon or same_quote:
        return replace(standing, state=BreakerState.ARMED)
    streak = standing.streak + 1
    state = BreakerState.TRIPPED if streak >= CONFIRMATIONS else BreakerState.ARMED
    return Standing(state, streak, reading.at, reading.quote_number)


def is_unsafe(reading: Reading, *, kind: BreakerKind) -> bool:
    """Tell whether a reading says nothing that can be relied on."""
    if reading.value is None or not reading.value.is_finite():
        return True
    if kind not in CONFIRMED or reading.quoted_at is None:
        return False
    return reading.at - reading.quoted_at > QUOTE_SECONDS
