"""The paper venue's ledger on a database connection of its own: serialised, on disk, in order.

An account's writes hold its lock until they have committed, so its reports become visible in id
order and a reader that goes on from the last id it saw misses none. The commit itself does not wait
for the disk, which frees the lock at once; the disk is waited for right after it, before anybody is
told. The venue is called from threads that live long, so each call first lets go of a connection
that has died or grown old.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import QuerySet, Sum

from brokers.contract import (
    BrokerUnavailable,
    FillReport,
    Liquidity,
    OrderReport,
    OrderTerms,
    OutcomeUnknown,
    Side,
    VenueStatus,
)
from brokers.models import PaperOrder, PaperReport
from execution_site.floor import locks, statements
from execution_site.floor.leases import Held

ALIAS = "paper"
PATIENCE = timedelta(seconds=1)
WORKING = frozenset({VenueStatus.ACCEPTED.value, VenueStatus.PARTIALLY_FILLED.value})

#: The lock comes last: what is set before it applies to the wait for it, so that a call ends within
#: the adapter's timeout.
_OPEN = f"""
SELECT set_config('synchronous_commit', 'off', true), set_config('statement_timeout', '1s', true),
       set_config('lock_timeout', %s, true), {locks.PAPER_ACCOUNT}
"""


@contextmanager
def serialised(account: str, *, patience: timedelta = PATIENCE) -> Iterator[None]:
    """Run one write of an account's ledger, alone and on disk before it returns.

    Read in a statement of the body, never in the one that waits for the lock. No lock is waited for
    longer than `patience`.

    :raises BrokerUnavailable: nothing was written
    :raises OutcomeUnknown: the commit had begun when the database went away
    """
    committing = False
    try:
        connections[ALIAS].close_if_unusable_or_obsolete()
        with transaction.atomic(using=ALIAS, durable=True):
            lock_timeout = f"{patience / timedelta(milliseconds=1):.0f}ms"
            statements.run(_OPEN, [lock_timeout, account], using=ALIAS)
            yield
            committing = True
        statements.flush(using=ALIAS)
    except (DatabaseError, InterfaceError) as e:
        if committing:
            raise OutcomeUnknown(f"the paper venue's commit was not answered: {e}") from e
        raise BrokerUnavailable(f"the paper venue is away: {e}") from e


def fence(held: Held | None) -> None:
    """Keep the lease that a caller works under, if any, until its write of the ledger ends.

    :raises LeaseLost: it has changed hands
    """
    if held is not None:
        held.fence(using=ALIAS)


@contextmanager
def reading() -> Iterator[None]:
    """Read without a transaction.

    :raises BrokerUnavailable: the ledger could not be read
    """
    try:
        connections[ALIAS].close_if_unusable_or_obsolete()
        yield
    except (DatabaseError, InterfaceError) as e:
        raise BrokerUnavailable(f"the paper venue is away: {e}") from e


def working() -> QuerySet[PaperOrder]:
    """Return the orders that can still fill, oldest first."""
    return PaperOrder.objects.using(ALIAS).filter(status__in=sorted(WORKING)).order_by("id")


def lines_of(account: str, client_order_id: str) -> list[PaperReport]:
    """Return every line of the first order that arrived under this id, with the order.

    One statement, so that order and lines are of one moment.
    """
    named = PaperOrder.objects.using(ALIAS).filter(account=account, client_order_id=client_order_id)
    first = named.order_by("id").values("id")[:1]
    lines = PaperReport.objects.using(ALIAS).filter(order_id=first)
    return list(lines.select_related("order").order_by("id"))


def positions(account: str) -> dict[str, Decimal]:
    """Return the signed quantity an account holds at the venue, by symbol; flat ones are 0."""
    executions = PaperReport.objects.using(ALIAS).filter(account=account, quantity__isnull=False)
    held: dict[str, Decimal] = {}
    sums = executions.values_list("order__symbol", "order__side").annotate(total=Sum("quantity"))
    for symbol, side, total in sums:
        held[symbol] = held.get(symbol, Decimal(0)) + total * Side(side).sign
    return held


def order_report(order: PaperOrder, lines: Iterable[PaperReport]) -> OrderReport:
    """Return an order as it stands, with every execution among its lines."""
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=str(order.pk),
        status=VenueStatus(order.status),
        filled_quantity=order.filled_quantity,
        reported_at=order.updated_at,
        reason=order.reason,
        fills=tuple(fill for line in lines for fill in _fills(order, line)),
        terms=OrderTerms(order.quantity, order.limit_price, order.stop_price),
    )


def line_report(line: PaperReport) -> OrderReport:
    """Return one line as the stream reports it: the order as it stood then."""
    return OrderReport(
        client_order_id=line.order.client_order_id,
        venue_order_id=str(line.order_id),
        status=VenueStatus(line.status),
        filled_quantity=line.filled_quantity,
        reported_at=line.at,
        reason=line.reason,
        fills=_fills(line.order, line),
        terms=OrderTerms(line.order_quantity, line.limit_price, line.stop_price),
    )


def _fills(order: PaperOrder, line: PaperReport) -> tuple[FillReport, ...]:
    """Return the execution of a line, if any. Its trade id and sequence are its own."""
    if line.quantity is None or line.price is None or line.commission is None:
        return ()
    fill = FillReport(
        client_order_id=order.client_order_id,
        venue_order_id=str(order.pk),
        venue_trade_id=str(line.pk),
        symbol=order.symbol,
        side=Side(order.side),
        quantity=line.quantity,
        price=line.price,
        commission=line.commission,
        commission_currency=line.commission_currency,
        liquidity=Liquidity(line.liquidity),
        traded_at=line.at,
        flags=tuple(line.flags),
        sequence=line.pk,
    )
    return (fill,)
