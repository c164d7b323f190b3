"""Celery's door to the order path. A task is a hint that a row wants looking at, and an id."""

from celery import shared_task
from django.utils import timezone

from orders import breaker_watch, groups, monitoring, replacement_sending, submission, sweeper


@shared_task(name="orders.transmit_order")
def transmit_order(*, order_id: int) -> None:
    """Look at one order now; the sweeper would find it a second later."""
    submission.transmit(order_id, now=timezone.now())


@shared_task(name="orders.look_up_order")
def look_up_order(*, order_id: int) -> None:
    """Ask the venue about one order."""
    monitoring.look_up(order_id, now=timezone.now())


@shared_task(name="orders.cancel_order")
def cancel_order(*, order_id: int) -> None:
    """Ask the venue to cancel one order."""
    monitoring.cancel(order_id, now=timezone.now())


@shared_task(name="orders.replace_order")
def replace_order(*, order_id: int) -> None:
    """Ask the venue to give one order new terms."""
    replacement_sending.transmit(order_id, now=timezone.now())


@shared_task(name="orders.act_on_breaker")
def act_on_breaker(*, breaker_id: int) -> None:
    """Do what a tripped breaker is to do."""
    breaker_watch.act(breaker_id, now=timezone.now())


@shared_task(name="orders.advance_group")
def advance_group(*, group_id: int) -> None:
    """Do a group's next step."""
    groups.advance(group_id, now=timezone.now())


@shared_task(name="orders.sweep")
def sweep() -> None:
    """Derive all work from rows again."""
    sweeper.sweep(now=timezone.now())
