"""The paper venue: a venue like any other behind the contract, with a ledger of its own.

It guards against no duplicates: two sends of one client_order_id are two orders in its ledger,
which is the witness of what was sent. Each account trades against its own copy of the market: what
one takes from a quote the others still find.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connections
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from brokers import clocks
from brokers.contract import (
    BarPart,
    BrokerError,
    BrokerUnavailable,
    Grant,
    OrderRejected,
    OrderReport,
    OrderTerms,
    OutcomeUnknown,
    ReportPage,
    VenueStatus,
)
from brokers.models import BrokerConnection, PaperOrder, PaperReport
from brokers.paper import ledger, rules
from brokers.paper.desk import NO_PARTS, Desk, Market, markets, meet, moves, terms_of, waits
from brokers.paper.matching import draw
from brokers.paper.rules import PaperSettings
from execution_site.floor.leases import Held
from execution_site.floor.outages import Causes

PAGE = 500
_OVER = {"DAY": "the trading day has ended", "GTD": "the time it expires at has come"}

MATCH_PATIENCE = timedelta(milliseconds=100)
MATCH_SECONDS = 1.0  # from reading quotes to writing what they fill
SETTLE_SECONDS = 5.0

logger = logging.getLogger(__name__)
_causes = Causes(logger, settle=SETTLE_SECONDS)


class PaperVenue:
    """The paper venue as one account's adapter."""

    timeout_seconds = 3.0

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
            chances = _Chances(desk.terms, grant)
            if chances.hit("unavailable"):
                raise BrokerUnavailable("disconnected on request")
            order = desk.receive(request, refuse=chances.hit("reject"))
            grant.spend(monotonic=time.monotonic())
            desk.write()
        if chances.hit("lose_answer"):
            raise OutcomeUnknown("the answer was lost on request")
        if order.status == VenueStatus.REJECTED:
            raise OrderRejected(order.reason)
        if order.status in ledger.WORKING:
            _look_again(order, desk.markets[order.symbol])
        return ledger.order_report(order, desk.lines)

    def replace(self, grant: Grant) -> OrderReport:
        """Give a working order new terms: it keeps its place where only its quantity falls."""
        request = grant.request
        if reason := rules.unreadable(request):
            raise OrderRejected(reason)
        terms = OrderTerms(request.quantity, request.limit_price, request.stop_price)
        with ledger.serialised(self.account):
            order = self._working(request.client_order_id).first()
            if order is None:
                raise OrderRejected("the order works no more")
            desk = Desk(self.account, [order.symbol], now=timezone.now())
            chances = _Chances(desk.terms, grant)
            if chances.hit("unavailable"):
                raise BrokerUnavailable("disconnected on request")
            if reason := desk.replace(order, terms, request):
                raise OrderRejected(reason)
            grant.spend(monotonic=time.monotonic())
            desk.write()
        if chances.hit("lose_answer"):
            raise OutcomeUnknown("the answer was lost on request")
        return ledger.order_report(order, desk.lines)

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Cancel what still works under an id, and return the order as it then stands."""
        with ledger.serialised(self.account):
            desk = Desk(self.account, (), now=timezone.now())
            for order in self._working(client_order_id):
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
            if lines:
                lines = self._told(lines)
        return ReportPage(
            tuple(ledger.line_report(line) for line in lines),
            str(lines[-1].pk) if lines else cursor,
        )

    def _told(self, lines: list[PaperReport]) -> list[PaperReport]:
        """Return the lines as the account's faults have them reported: some late, some twice."""
        account = BrokerConnection.objects.using(ledger.ALIAS).get(name=self.account)
        terms = terms_of(self.account, account.settings)
        if terms.faults.late:
            told_until = clocks.market_now(self.account, using=ledger.ALIAS) - terms.faults.late
            lines = [line for line in lines if line.at <= told_until]
        return list(_repeated(lines, terms))

    def _working(self, client_order_id: str) -> QuerySet[PaperOrder]:
        return ledger.working().filter(account=self.account, client_order_id=client_order_id)


def match(symbols: Collection[str], *, now: datetime, held: Held | None = None) -> None:
    """Match the working orders of these symbols against their quotes, and expire what is due.

    `now` is the wall's time; accounts that are replayed have their own. Three statements where
    nothing fills; an account is locked only where something does. An account that cannot be served
    now, or is busy for longer than `MATCH_PATIENCE`, holds up no other: its orders work on, against
    the next quote. `held`, the lease that the caller works under, fences what is written.

    :raises DatabaseError: the ledger cannot be read at all
    :raises LeaseLost: the lease has changed hands
    """
    connections[ledger.ALIAS].close_if_unusable_or_obsolete()
    replayed = clocks.replayed(using=ledger.ALIAS)
    over = Q(expires_at__lte=now) & ~Q(account__in=list(replayed))
    for account, clock in replayed.items():
        over |= Q(account=account, expires_at__lte=clock)
    settings = BrokerConnection.objects.filter(name=OuterRef("account")).values("settings")[:1]
    concerned = ledger.working().filter(Q(symbol__in=symbols) | over)
    orders = list(concerned.annotate(settings=Subquery(settings)))
    now_quoted = markets({order.symbol for order in orders}) if orders else {}
    due: defaultdict[str, list[int]] = defaultdict(list)
    for order in orders:
        at = replayed.get(order.account, now)
        try:
            moved = _moved(order, now_quoted.get(order.symbol))
        except BrokerError as e:
            _causes.begin(f"matching for {order.account}", e)
            continue
        if _is_over(order, at) or moved:
            due[order.account].append(order.pk)
    began = time.monotonic()
    for account, order_ids in sorted(due.items()):
        what = f"matching for {account}"
        passed = timedelta(seconds=time.monotonic() - began)
        try:
            _match_in_time(account, order_ids, now=now + passed, held=held)
        except BrokerError as e:
            _causes.begin(what, e)
        else:
            _causes.end(what)


def match_account(
    account: str,
    order_ids: Collection[int],
    *,
    now: datetime,
    parts: Mapping[str, BarPart] = NO_PARTS,
    held: Held | None = None,
) -> None:
    """Match or expire these orders of one account: stops that wait first, else as they arrived.

    `parts` says of symbols what their quotes are of a bar; `held` is as for `match`.
    """
    with ledger.serialised(account):
        ledger.fence(held)
        _dealt(account, order_ids, now=now, parts=parts).write()


def _match_in_time(
    account: str, order_ids: Collection[int], *, now: datetime, held: Held | None
) -> None:
    """Match as `match_account`, but not at what was quoted before we stood still.

    :raises BrokerUnavailable: the account is busy, or its quotes were read too long ago
    """
    with ledger.serialised(account, patience=MATCH_PATIENCE):
        began = time.monotonic()
        desk = _dealt(account, order_ids, now=now)
        ledger.fence(held)
        if (took := time.monotonic() - began) > MATCH_SECONDS:
            raise BrokerUnavailable(f"stood still for {took:.1f} s: the quotes are of before")
        desk.write()


def _dealt(
    account: str,
    order_ids: Collection[int],
    *,
    now: datetime,
    parts: Mapping[str, BarPart] = NO_PARTS,
) -> Desk:
    """Return the account's desk after it has done what these orders' quotes do, unwritten."""
    working = ledger.working().filter(account=account, pk__in=order_ids)
    orders = sorted(working, key=lambda order: not waits(order))
    desk = Desk(account, {order.symbol for order in orders}, now=now, parts=parts)
    for order in orders:
        if _is_over(order, desk.now):
            reason = _OVER.get(order.time_in_force, "the contract has expired")
            desk.end(order, VenueStatus.EXPIRED, reason)
        else:
            desk.work(order)
    return desk


def ledger_positions(account: str) -> dict[str, Decimal]:
    """Return the signed quantity the venue holds for an account, by symbol.

    :raises BrokerUnavailable: the ledger could not be read
    """
    with ledger.reading():
        return ledger.positions(account)


class _Chances:
    """Draws, for one attempt, which of the account's faults happen to it."""

    def __init__(self, terms: PaperSettings, grant: Grant) -> None:
        self.terms = terms
        self.attempt = f"{grant.request.client_order_id} {grant.attempt_id} {grant.attempt}"

    def hit(self, fault: str) -> bool:
        chance: Decimal = getattr(self.terms.faults, fault)
        return bool(chance) and draw(self.terms.model.seed, fault, self.attempt) < chance


def _repeated(lines: list[PaperReport], terms: PaperSettings) -> Iterator[PaperReport]:
    for line in lines:
        yield line
        if draw(terms.model.seed, "repeat", str(line.pk)) < terms.faults.repeat:
            yield line


def _is_over(order: PaperOrder, now: datetime) -> bool:
    return order.expires_at is not None and now >= order.expires_at


def _moved(order: PaperOrder, market: Market | None) -> bool:
    """Tell whether a quote does anything to an order; one whose instrument was withdrawn waits."""
    if market is None:
        return False
    terms = terms_of(order.account, order.settings or {})  # type: ignore[attr-defined]
    most = order.quantity - order.filled_quantity
    return moves(order, meet(order, market, market.book, terms, most=most))


def _look_again(order: PaperOrder, seen: Market) -> None:
    """Match an order whose quote moved while it was being written.

    The market loop, which looked for working orders meanwhile, could not see it yet. The order is
    placed whatever happens here, so its answer stands.
    """
    try:
        with ledger.reading():
            moved = markets([order.symbol])[order.symbol].number != seen.number
        if moved:
            match_account(order.account, [order.pk], now=timezone.now())
    except BrokerError as e:
        logger.warning("paper order %s waits for its next quote: %s", order.pk, e)
