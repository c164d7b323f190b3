"""An order's terms: what it has, what widens them, and what its venue says they are.

An order keeps its terms until its venue says that it has others (`settle_replacements`, called
where reports are booked), so a race of a modify with a fill, a cancel or a lost answer ends where
the venue says.
"""

from datetime import datetime, timedelta

from brokers.contract import OrderReport, OrderTerms, Side
from orders import order_state
from orders.lifecycle import OPEN, OrderStatus, PendingAction
from orders.models import Order, Replacement
from orders.models.replacement import OPEN as UNSETTLED
from orders.models.replacement import ReplacementStatus

ASK_AGAIN = timedelta(seconds=2)


def terms_of(order: Order) -> OrderTerms:
    """Return the terms an order has."""
    return OrderTerms(order.quantity, order.limit_price, order.stop_price)


def apply_terms(order: Order, terms: OrderTerms) -> None:
    """Give an order in memory other terms."""
    order.quantity, order.limit_price = terms.quantity, terms.limit_price
    order.stop_price = terms.stop_price


def widens(was: OrderTerms, wanted: OrderTerms, side: Side) -> bool:
    """Tell whether new terms ask for more, or at a worse price; a moved stop counts as worse."""
    if wanted.quantity > was.quantity or wanted.stop_price != was.stop_price:
        return True
    if wanted.limit_price is None or was.limit_price is None:
        return False
    return (wanted.limit_price - was.limit_price) * side.sign > 0


def take_terms(order: Order, report: OrderReport) -> None:
    """Take over the terms a venue reports of a locked order; an older report changes nothing."""
    if report.terms is None:
        return
    if order.terms_at is not None and report.reported_at < order.terms_at:
        return
    apply_terms(order, report.terms)
    order.terms_at = report.reported_at


def end_replacement(
    row: Replacement, order: Order, status: ReplacementStatus, detail: str, *, now: datetime
) -> None:
    """End new terms that the locked order does not get: it keeps its own, and counts at them."""
    row.status, row.detail, row.due_at = status, detail[:200], None
    row.save(update_fields=["status", "detail", "due_at"])
    if order.pending_action == PendingAction.REPLACE:
        order.pending_action = PendingAction.NONE.value
    order.reserved_quantity = None
    order_state.save(order, now=now, fields=("reserved_quantity",))


def settle_replacements(order: Order, *, now: datetime) -> None:
    """Settle what asked for an order's terms, now that its report has been applied in memory.

    Saves the replacement; the order, which is locked, is the caller's to write. What was sent and
    is not settled is asked about again. Called wherever something was pending before the report: a
    cancel may have taken the place of a modify that is on its way.
    """
    ended = OrderStatus(order.status) not in OPEN
    for row in Replacement.objects.filter(order=order, status__in=UNSETTLED):
        if row.status == ReplacementStatus.SENT and row.terms == terms_of(order):
            row.status = ReplacementStatus.DONE
        elif ended:
            row.status, row.detail = ReplacementStatus.OVERTAKEN, f"the order is {order.status}"
        else:
            if row.status == ReplacementStatus.SENT:
                order.poll_due_at = now + ASK_AGAIN
            continue
        row.due_at = order.reserved_quantity = None
        row.save(update_fields=["status", "detail", "due_at"])
        if order.pending_action == PendingAction.REPLACE:
            order.pending_action = PendingAction.NONE.value
