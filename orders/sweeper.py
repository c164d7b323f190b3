"""The sweeper: all work, derived from rows again. A crash and a normal day are the same path.

Each piece of work stands for itself: what fails is counted and reported, one line a cause, and
stops nothing else; a row that somebody else holds is left to the next sweep.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet

from execution_site.floor import access, locks, outages
from execution_site.floor.access import AccessChange
from execution_site.rest import idempotency
from orders import hints
from orders.control import breakers
from orders.groups import advance
from orders.intake import approve
from orders.lifecycle import OrderStatus, PendingAction
from orders.models import MassAction, Order, PositionClose, Replacement
from orders.models.replacement import ReplacementStatus
from orders.sending import in_flight, submission
from orders.sending.venue_queries import due_again, sender_is_lost
from orders.two_persons import proposals
from risk import control

OVERDUE = timedelta(seconds=1)
BATCH = 500

Piece = Callable[[], object]
T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many pieces of work were done; and by cause, how many of each kind failed."""

    done: int
    failed: Mapping[str, Counter[str]]


def sweep(*, now: datetime) -> Swept:
    """Hint at what waits, put lost senders' orders in doubt, end what nobody decided in time."""
    done, failed = 0, defaultdict[str, Counter[str]](Counter)
    for kind, find in _KINDS.items():
        for piece in _attempt(partial(find, now=now), kind, failed) or ():
            done += _attempt(partial(_do, piece), kind, failed) or 0
    for cause, kinds in failed.items():
        if cause in outages.SERVICES:
            continue  # that it is away is logged once, whoever finds it
        counts = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        logger.error("the sweep left out %s: %s", counts, cause)
    return Swept(done, failed)


def _attempt(do: Callable[[], T], kind: str, failed: defaultdict[str, Counter[str]]) -> T | None:
    try:
        return do()
    except Exception as e:  # noqa: BLE001 it is counted, reported, and stops nothing else
        failed[_cause(e)][kind] += 1
        return None


def _cause(error: Exception) -> str:
    """Return what a failure is counted under: a service that is away, or the error."""
    if (service := outages.service_of(error)) is not None:
        outages.services.begin(service, error)
        return service
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _do(piece: Piece) -> int:
    piece()
    return 1


def _in_flight(*, now: datetime) -> list[Piece]:
    """Note the sends that are under way; those whose sender was lost are put in doubt."""
    doubtful = (OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT)
    orders = list(Order.objects.filter(status__in=doubtful).select_related("connection"))
    terms = Replacement.objects.filter(status=ReplacementStatus.SENT)
    names = [*map(in_flight.claim, orders), *map(in_flight.new_terms, terms)]
    in_flight.see(names)
    claimed = [order for order in orders if order.status == OrderStatus.SUBMITTING]
    return [partial(_doubt_lost, order, now=now) for order in claimed]


def _doubt_lost(order: Order, *, now: datetime) -> None:
    """Put an order in doubt whose sender can no longer be on its way: it may be there."""
    if not sender_is_lost(order, at=in_flight.monotonic()):
        return
    with transaction.atomic(durable=True):
        same = Order.objects.filter(pk=order.pk, claimed_at=order.claimed_at)
        if locks.first_free(same) is None:
            return
        locked = Order.objects.select_related("connection", "instrument").get(pk=order.pk)
        submission.mark_in_doubt(locked, "the sender was lost", now=now)


def _hint_at(hint: Callable[[str], None], due: QuerySet[Order]) -> list[Piece]:
    """Hint at each account that has orders which are due."""
    accounts = due.order_by().values_list("connection__name", flat=True).distinct()
    return [partial(hint, account) for account in accounts]


def _unsent(*, now: datetime) -> list[Piece]:
    return _hint_at(hints.transmit, Order.objects.due(now=now - OVERDUE))


def _to_ask(*, now: datetime) -> list[Piece]:
    return _hint_at(hints.look_up, Order.objects.filter(due_again("poll_due_at", now=now)))


def _to_cancel(*, now: datetime) -> list[Piece]:
    asked = Order.objects.filter(pending_action=PendingAction.CANCEL)
    return _hint_at(hints.cancel, asked.filter(due_again("cancel_due_at", now=now)))


def _to_replace(*, now: datetime) -> list[Piece]:
    waiting = Q(replacements__status=ReplacementStatus.WAITING)
    due = waiting & Q(replacements__due_at__lte=now - OVERDUE)
    return _hint_at(hints.transmit, Order.objects.filter(due))


def _to_act(*, now: datetime) -> list[Piece]:
    return [hints.act_on_breakers] if breakers.waiting_to_act() else []


def _to_advance(*, now: datetime) -> list[Piece]:
    return [partial(hints.advance_group, group_id) for group_id in advance.due(now=now)[:BATCH]]


def _undecided(*, now: datetime) -> list[Piece]:
    return [partial(approve.expire, pk, now=now) for pk in approve.overdue(now=now)[:BATCH]]


def _proposed(*, now: datetime) -> list[Piece]:
    return [partial(proposals.expire, pk, now=now) for pk in proposals.overdue(now=now)[:BATCH]]


def _to_finish(*, now: datetime) -> list[Piece]:
    """What was asked of many, and positions that are being closed."""
    asked, closing = MassAction.objects.due(now=now), PositionClose.objects.due(now=now)
    return [hints.finish_asked] if asked.exists() or closing.exists() else []


def _to_drain(*, now: datetime) -> list[Piece]:
    return [partial(control.finish_drains, now=now)]


def _to_tell(*, now: datetime) -> list[Piece]:
    return [partial(access.record, now=now)] if AccessChange.objects.exists() else []


def _to_forget(*, now: datetime) -> list[Piece]:
    return [partial(idempotency.forget, now=now)]


class _Find(Protocol):
    """Returns the pieces of work of a kind, each to be done by itself."""

    def __call__(self, *, now: datetime) -> Iterable[Piece]: ...


_KINDS: Mapping[str, _Find] = {
    "lost senders": _in_flight,
    "orders to send": _unsent,
    "orders to ask about": _to_ask,
    "cancels": _to_cancel,
    "new terms": _to_replace,
    "breakers": _to_act,
    "groups": _to_advance,
    "approvals": _undecided,
    "proposals": _proposed,
    "what was asked of many": _to_finish,
    "kills to drain": _to_drain,
    "changes of access": _to_tell,
    "old keys": _to_forget,
}
