"""After a restore: the site reconciles with its venues, and sends once a person confirms.

What was waiting or under way when the copy was made may have been sent since, and what was asked of
many may have been done. So a kill switch is engaged for everything, whatever may have been sent is
in doubt, and its venue is asked; nothing is sent again. Releasing the kill is the confirmation, in
the console or by `manage.py confirm_restore`: it is refused while anything is in doubt.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F

from execution_site.floor import audit
from orders.control import mass_actions
from orders.judging import closing
from orders.lifecycle import OrderStatus, advance
from orders.models import MassAction, Order, PositionClose, Replacement
from orders.models.mass_action import Progress
from orders.models.replacement import ReplacementStatus
from orders.sending import submission
from risk import control
from risk.facts import KillLevel

MAY_HAVE_BEEN_SENT = "restored: it may have been sent since"


@dataclass(frozen=True, slots=True)
class Held:
    """What a restored state was found to hold."""

    in_doubt: int
    working: int
    withdrawn: int


def hold(*, actor: str, reason: str, before: Any, after: Any, now: datetime) -> Held:
    """Have everything reconcile only; `before` and `after` are the log's heads, for the audit.

    :raises audit.ReasonRequired: without a reason
    """
    with transaction.atomic(durable=True):
        control.add_kill(
            level=KillLevel.HALTED, actor=actor, reason=reason, scope=control.EVERYTHING, now=now
        )
        audit.record("restored", actor=actor, reason=reason, at=now, before=before, after=after)
        withdrawn = _withdraw(actor=actor, reason=reason, now=now)
        in_doubt = _doubt(now=now)
        working = Order.objects.open().exclude(status=OrderStatus.IN_DOUBT).update(poll_due_at=now)
        Session.objects.all().delete()  # who was signed out since stays so
    control.drain_or_leave()
    return Held(in_doubt, working, withdrawn)


def _withdraw(*, actor: str, reason: str, now: datetime) -> int:
    """Let go of what was asked of many, and of closing: they size orders by an older book."""
    actions = list(MassAction.objects.filter(status=Progress.WORKING))
    for action in actions:
        mass_actions.withdraw(action.pk, actor=actor, reason=reason, now=now)
    closes = PositionClose.objects.filter(status=Progress.WORKING).select_related("connection")
    for close in closes:
        closing.withdraw(close, now=now)
    return len(actions) + len(closes)


def _doubt(*, now: datetime) -> int:
    """Put in doubt whatever may have been sent since: orders, and new terms that wait."""
    may = (OrderStatus.PENDING, OrderStatus.SUBMITTING)
    orders = Order.objects.filter(status__in=may).select_related("connection", "instrument")
    count = 0
    for order in orders:
        if order.status == OrderStatus.PENDING:
            order.status = advance(OrderStatus.PENDING, OrderStatus.SUBMITTING).value
            order.claimed_at, order.due_at = now, None
            order.save(update_fields=["status", "claimed_at", "due_at"])
        submission.mark_in_doubt(order, MAY_HAVE_BEEN_SENT, now=now)
        count += 1
    Replacement.objects.filter(status=ReplacementStatus.WAITING).update(
        status=ReplacementStatus.SENT, sent_at=now, due_at=None, attempts=F("attempts") + 1
    )
    return count
