"""Celery's door to the order path. A task is a hint that an account, or a row, wants looking at."""

from celery import shared_task
from django.utils import timezone

from orders import hints, sweeper
from orders.control import breakers, mass_actions
from orders.groups import advance
from orders.sending import replacement, submission, venue_queries
from orders.sending.due_work import work_off


@shared_task(name="orders.transmit_due")
def transmit_due(*, account: str) -> None:
    """Send what waits of an account: new terms, which are few, then orders, oldest first."""
    steps = (replacement.transmit_oldest, submission.transmit_oldest)
    work_off(account, *steps, again=hints.transmit)


@shared_task(name="orders.look_up_due")
def look_up_due(*, account: str) -> None:
    """Ask an account's venue about the orders that are due to be asked about."""
    work_off(account, venue_queries.look_up_oldest, again=hints.look_up)


@shared_task(name="orders.cancel_due")
def cancel_due(*, account: str) -> None:
    """Ask an account's venue for the cancels that are due."""
    work_off(account, venue_queries.cancel_oldest, again=hints.cancel)


@shared_task(name="orders.act_on_breakers")
def act_on_breakers() -> None:
    """Do what tripped breakers are to do."""
    for breaker_id in breakers.waiting_to_act():
        breakers.act(breaker_id, now=timezone.now())


@shared_task(name="orders.finish_asked")
def finish_asked() -> None:
    """Cancel and close what is left of what was asked."""
    mass_actions.finish_due(now=timezone.now())


@shared_task(name="orders.advance_group")
def advance_group(*, group_id: int) -> None:
    """Do a group's next step."""
    advance.advance(group_id, now=timezone.now())


@shared_task(name="orders.sweep")
def sweep() -> None:
    """Derive all work from rows again."""
    sweeper.sweep(now=timezone.now())
