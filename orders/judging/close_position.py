"""One order to close what can be closed of a position now: the only way that the engine closes.

It goes through the gate like any order. What other orders are closing already is left to them.
"""

from dataclasses import replace
from decimal import Decimal

from brokers.contract import Side
from orders.judging import gather
from orders.judging.admission import Decided, decide, store
from orders.judging.case import Case
from orders.models import OrderGroup


def close_position(
    case: Case,
    *,
    side: Side,
    most: Decimal | None,
    group: OrderGroup | None = None,
    keeps_refusal: bool,
) -> Decided | None:
    """Send an order for what `side` can close now, at most `most`; None: others are closing it.

    The case is locked, and so is its position; its quantity is worked out here. `group` and
    `keeps_refusal` are those of `store`.
    """
    situation = gather.read(case)
    left = situation.closable(side)
    if not left:
        return None
    quantity = left if most is None else min(left, most)
    case = replace(case, proposed=replace(case.proposed, side=side, quantity=quantity))
    return store(decide(case, situation), group=group, keeps_refusal=keeps_refusal)
