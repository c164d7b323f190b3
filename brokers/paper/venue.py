"""The paper venue: a venue like any other behind the contract, with a ledger of its own.

It guards against no duplicates: two sends of one client_order_id are two orders in its ledger,
which is the witness of what was sent. Each account trades against its own copy of the market: what
one takes from a quote the others still find.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db import connections
from django.db.models import Q
from django.utils import timezone

from brokers.contract import (
    BrokerError,
    Grant,
    OrderRejected,
    OrderReport,
    ReportPage,
    VenueStatus,
)
from brokers.paper import ledger, rules
from brokers.paper.desk import Desk, Market, execution, markets
from brokers.paper.models import PaperOrder, PaperReport

PAGE = 500
#: Whether an order fills does not depend on what it costs.
FREE = rules.Terms(slippage_basis_points=Decimal(0), commission_basis_points=Decimal(0))

logger = logging.getLogger(__name__)


class PaperVenue:
    """The paper venue as one account's adapter."""

    timeout_seconds = 3.0
    client_order_id_length = rules.CLIENT_ORDER_ID_LENGTH

    def __init__(self, account: str) -> None:
        self.account = account

    def submit(self, grant: Grant) -> OrderReport:
        """Take an order, fill what the quote allows, and report. A refusal is recorded too.

        :raises OrderRejected: the venue does not take such an order
        """
        request = grant.request
        if reason := rules.unreadable(request):
            raise OrderRejected(reason)
        with ledger.serialised(self.account):
            desk = Desk(self.account, [request.symbol], now=timezone.now())
            order = desk.receive(request)
            grant.spend(monotonic=time.monotonic())
            desk.write()
        if order.status == VenueStatus.REJECTED:
            raise OrderRejected(order.reason)
        if order.status in ledger.WORKING:
            _look_again(order, desk.markets[order.symbol])
        return ledger.order_report(order, desk.lines)

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Cancel what still works under an id, and return the order as it then stands."""
        with ledger.serialised(self.account):
            named = ledger.working().filter(account=self.account, client_order_id=client_order_id)
            desk = Desk(self.account, (), now=timezone.now())
            for order in named:
                desk.end(order, VenueStatus.CANCELLED, "cancelled on request")
            desk.write()
        return self.find_order(client_order_id)

    def find_order(self, client_order_id: str) -> OrderReport | None:
        """Return an order with all its executions.

        It takes the account's lock: while a send that has spent its grant has not committed, the
        answer is not "not found" but no answer.
        """
        with ledger.serialised(self.account):
            lines = ledger.lines_of(self.account, client_order_id)
        return ledger.order_report(lines[0].order, lines) if lines else None

    def reports_since(self, cursor: str) -> ReportPage:
        """Return the ledger's lines after `cursor`, oldest first."""
        with ledger.reading():
            after = PaperReport.objects.using(ledger.ALIAS).filter(
                account=self.account, id__gt=int(cursor or 0)
            )
            lines = list(after.select_related("order").order_by("id")[:PAGE])
        return ReportPage(
            tuple(ledger.line_report(line) for line in lines),
            str(lines[-1].pk) if lines else cursor,
        )


def match(symbols: Collection[str], *, now: datetime) -> None:
    """Match the working orders of these symbols against their quotes, and expire what is due.

    Two statements where nothing fills; an account is locked only where something does. An account
    that cannot be served now holds up no other: its orders work on, against the next quote.

    :raises DatabaseError: the ledger cannot be read at all
    """
    connections[ledger.ALIAS].close_if_unusable_or_obsolete()
    concerned = ledger.working().filter(Q(symbol__in=symbols) | Q(expires_at__lte=now))
    orders = list(concerned)
    now_quoted = markets({order.symbol for order in orders}) if orders else {}
    due: defaultdict[str, list[int]] = defaultdict(list)
    for order in orders:
        if _is_over(order, now) or _fills(order, now_quoted.get(order.symbol)):
            due[order.account].append(order.pk)
    for account, order_ids in sorted(due.items()):
        try:
            match_account(account, order_ids, now=now)
        except BrokerError as e:
            logger.warning("paper orders of %s not matched: %s", account, e)


def match_account(account: str, order_ids: Collection[int], *, now: datetime) -> None:
    """Match or expire these orders of one account, in the order of their arrival."""
    with ledger.serialised(account):
        orders = list(ledger.working().filter(account=account, pk__in=order_ids))
        desk = Desk(account, {order.symbol for order in orders}, now=now)
        for order in orders:
            if _is_over(order, now):
                desk.end(order, VenueStatus.EXPIRED, "the trading day has ended")
            else:
                desk.work(order, rested=True)
        desk.write()


def ledger_positions(account: str) -> dict[str, Decimal]:
    """Return the signed quantity the venue holds for an account, by symbol.

    :raises BrokerUnavailable: the ledger could not be read
    """
    with ledger.reading():
        return ledger.positions(account)


def _is_over(order: PaperOrder, now: datetime) -> bool:
    return order.expires_at is not None and now >= order.expires_at


def _fills(order: PaperOrder, market: Market | None) -> bool:
    """Tell whether an order fills now; one in an instrument that was withdrawn waits."""
    if market is None:
        return False
    return execution(order, market, market.book, FREE, rested=True) is not None


def _look_again(order: PaperOrder, seen: Market) -> None:
    """Match an order whose quote moved while it was being written.

    The market loop, which looked for working orders meanwhile, could not see it yet. The order is
    placed whatever happens here, so its answer stands.
    """
    try:
        with ledger.reading():
            moved = markets([order.symbol])[order.symbol].book != seen.book
        if moved:
            match_account(order.account, [order.pk], now=timezone.now())
    except BrokerError as e:
        logger.warning("paper order %s waits for its next quote: %s", order.pk, e)
