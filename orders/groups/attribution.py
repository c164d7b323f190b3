"""Which group holds what of a strategy's position in one instrument: pure, fill by fill.

A position is netted: nobody in it holds against another. So an execution first closes what is held
on its other side: what its own group holds, then what no group holds, then what other groups hold,
the oldest first. What is left of it opens for the group whose order it filled, or for none. What
the holders have adds up to the position at any time, and to its realized PnL whenever it is flat.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from portfolio.fold import Execution
from portfolio.holding import CONTEXT, Holding, apply_fill, quantize

Holder = int | None  # a group by its number, which grows with time; None is whatever no group holds
Shares = Mapping[Holder, Holding]
NOTHING = Holding()


@dataclass(frozen=True, slots=True)
class Dealt:
    """An execution, and the group whose order it filled."""

    execution: Execution
    group: Holder


def attribute(
    shares: Shares, dealt: Iterable[Dealt], *, multiplier: Decimal
) -> dict[Holder, Holding]:
    """Return what each holder has after executions that are in the venue's order.

    `multiplier` is units per contract, as in `portfolio/holding.py`.
    """
    held = dict(shares)
    for one in dealt:
        for holder, quantity, commission in _parts(held, one):
            held[holder] = apply_fill(
                held.get(holder, NOTHING),
                side=one.execution.side,
                quantity=quantity,
                price=one.execution.price,
                commission=commission,
                multiplier=multiplier,
            )
    return held


def _parts(held: Shares, dealt: Dealt) -> Iterator[tuple[Holder, Decimal, Decimal]]:
    """Yield whom an execution trades for: how much of its quantity, and of its commission.

    The last pays what rounding has left of the commission, so that nothing of it is lost.
    """
    execution = dealt.execution
    *others, (last, rest) = _taken(held, dealt)
    unpaid = execution.commission
    for holder, quantity in others:
        share = CONTEXT.multiply(execution.commission, quantity)
        commission = quantize(CONTEXT.divide(share, execution.quantity))
        unpaid -= commission
        yield holder, quantity, commission
    yield last, rest, unpaid


def _taken(held: Shares, dealt: Dealt) -> list[tuple[Holder, Decimal]]:
    """Return whom an execution closes for, in their turn, and whom it opens for with the rest."""
    left, side = dealt.execution.quantity, dealt.execution.side
    taken: list[tuple[Holder, Decimal]] = []
    for holder in sorted(held, key=lambda one: (one != dealt.group, one is not None, one or 0)):
        closes = min(left, max(-held[holder].quantity * side.sign, Decimal(0)))
        if closes:
            taken.append((holder, closes))
            left -= closes
    if left or not taken:
        taken.append((dealt.group, left))
    return taken
