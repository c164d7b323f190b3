"""How well an order was executed: pure.

Slippage is positive when it cost us, against the mid when the order was granted; in price units, in
basis points of that mid, and in pips of the instrument.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.contract import Side
from brokers.instruments.kinds import optional_text
from portfolio.holding import CONTEXT, quantize

BASIS = Decimal(10_000)
#: Basis points of slippage up to which an execution is called so.
GRADES = (("EXCELLENT", Decimal(1)), ("GOOD", Decimal(5)), ("FAIR", Decimal(20)))


def slippage(*, side: Side, average_price: Decimal | None, mid: Decimal | None) -> Decimal | None:
    """Return what the execution cost against the mid, in price units, or None where unknown."""
    if average_price is None or mid is None:
        return None
    return quantize((average_price - mid) * side.sign)


def basis_points(cost: Decimal | None, mid: Decimal | None) -> Decimal | None:
    """Return a cost in 1/10,000 of the mid, to two places."""
    if cost is None or not mid:
        return None
    return CONTEXT.divide(cost * BASIS, mid).quantize(Decimal("0.01"))


def grade(points: Decimal | None) -> str | None:
    """Return EXCELLENT, GOOD, FAIR or POOR, or None where it cannot be said."""
    if points is None:
        return None
    return next((name for name, most in GRADES if points <= most), "POOR")


def measures(
    *,
    side: Side,
    average_price: Decimal | None,
    mid: Decimal | None,
    pip_size: Decimal | None,
    sent_at: datetime | None,
    filled_at: datetime | None,
) -> dict[str, Any]:
    """Return the measures of an execution as clients see them."""
    cost = slippage(side=side, average_price=average_price, mid=mid)
    points = basis_points(cost, mid)
    pips = None
    if cost is not None and pip_size:
        pips = CONTEXT.divide(cost, pip_size).quantize(Decimal("0.01"))
    seconds = None
    if sent_at is not None and filled_at is not None:
        seconds = f"{max(0.0, (filled_at - sent_at).total_seconds()):.6f}"
    return {
        "slippage": optional_text(cost),
        "slippage_basis_points": optional_text(points),
        "slippage_pips": optional_text(pips),
        "quality": grade(points),
        "fill_seconds": seconds,
    }
