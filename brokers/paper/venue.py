"""The paper venue: a venue like any other behind the contract, with a ledger of its own.

It works on a database connection of its own and has committed before it answers. Each account's
writes are serialised, so that its reports commit in id order and a cursor loses none. It guards
against no duplicates: two sends of one client_order_id are two orders in its ledger.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import Sum
from django.utils import timezone

from brokers import calendars
from brokers.contract import (
    BrokerUnavailable,
    FillReport,
    Grant,
    Liquidity,
    OrderRejected,
    OrderReport,
    OrderRequest,
    OrderType,
    OutcomeUnknown,
    ReportPage,
    Side,
    TimeInForce,
    VenueStatus,
)
from brokers.models import BrokerConnection, Instrument, Quote
from brokers.paper.matching import Book, commission, match_order
from brokers.paper.models import PaperOrder, PaperReport

ALIAS = "paper"
PAGE = 500
WORKING = (VenueStatus.ACCEPTED, VenueStatus.PARTIALLY_FILLED)
SUPPORTED_TYPES = (OrderType.MARKET, OrderType.LIMIT)
SUPPORTED_TIMES = (TimeInForce.DAY, TimeInForce.GTC)
DEFAULT_SLIPPAGE = "5"  # basis points, against us
DEFAULT_COMMISSION = "1"  # basis points of notional


class PaperVenue:
    """The paper venue as one account's adapter."""

    timeout_seconds = 3.0
    client_order_id_length = 36

    def __init__(self, account: str) -> None:
        self.account = account

    def submit(self, grant: Grant) -> OrderReport:
        """Take an order, fill what the quote allows, and report.

        :raises OrderRejected: the venue does not take such an order
        """
        _refuse_unsupported(grant.request)
        with _committing(self.account):
            request = grant.spend(monotonic=time.monotonic())
            now = timezone.now()
            market = _Market(self.account, request.symbol)
            order = PaperOrder.objects.using(ALIAS).create(
                account=self.account,
                client_order_id=request.client_order_id,
                symbol=request.symbol,
                side=request.side.value,
                quantity=request.quantity,
                order_type=request.order_type.value,
                time_in_force=request.time_in_force.value,
                limit_price=request.limit_price,
                expires_at=market.day_end(request.time_in_force, now),
                status=VenueStatus.ACCEPTED.value,
                received_at=now,
                updated_at=now,
            )
            _report(order, now=now)
            market.match(order, rested=False, now=now)
            return _order_report(order)

    def cancel(self, client_order_id: str) -> OrderReport | None:
        """Cancel what still works of an order."""
        with _committing(self.account):
            order = self._find(client_order_id)
            if order is None:
                return None
            if order.status in WORKING:
                _end(order, VenueStatus.CANCELLED, "cancelled on request", now=timezone.now())
            return _order_report(order)

    def find_order(self, client_order_id: str) -> OrderReport | None:
        """Return an order with all its executions."""
        with _reading():
            order = self._find(client_order_id)
            return None if order is None else _order_report(order)

    def reports_since(self, cursor: str) -> ReportPage:
        """Return the ledger's lines after `cursor`, oldest first."""
        with _reading():
            lines = list(
                PaperReport.objects.using(ALIAS)
                .filter(account=self.account, id__gt=int(cursor or 0))
                .select_related("order")
                .order_by("id")[:PAGE]
            )
        if not lines:
            return ReportPage((), cursor)
        return ReportPage([_line_report(line) for line in lines], str(lines[-1].pk))

    def _find(self, client_order_id: str) -> PaperOrder | None:
        named = PaperOrder.objects.using(ALIAS).filter(
            account=self.account, client_order_id=client_order_id
        )
        return named.order_by("id").first()


class _Market:
    """The venue's view of one symbol for one account, read under the account's lock."""

    def __init__(self, account: str, symbol: str) -> None:
        self.connection = BrokerConnection.objects.using(ALIAS).get(name=account)
        self.instrument = Instrument.objects.using(ALIAS).get(symbol=symbol)
        quote = Quote.objects.using(ALIAS).filter(instrument=self.instrument).first()
        self.book = (
            Book(quote.bid, quote.ask, quote.bid_size, quote.ask_size, quote.last)
            if quote
            else Book(None, None, None, None, None)
        )

    def day_end(self, time_in_force: TimeInForce, now: datetime) -> datetime | None:
        """Return when a DAY order ends; others stay until they are cancelled."""
        if time_in_force is not TimeInForce.DAY:
            return None
        roll, zone = self.connection.day_roll_time, self.connection.day_roll_zone
        return calendars.day_end(self.connection.trading_date(now), roll=roll, zone=zone)

    def match(self, order: PaperOrder, *, rested: bool, now: datetime) -> None:
        """Fill what this quote allows of an order."""
        execution = match_order(
            self.book,
            side=Side(order.side),
            quantity=order.quantity - order.filled_quantity,
            order_type=OrderType(order.order_type),
            limit_price=order.limit_price,
            rested=rested,
            slippage_basis_points=self._setting("slippage_basis_points", DEFAULT_SLIPPAGE),
            tick_size=self.instrument.tick_size,
        )
        if execution is None:
            return
        order.filled_quantity += execution.quantity
        full = order.filled_quantity == order.quantity
        order.status = (VenueStatus.FILLED if full else VenueStatus.PARTIALLY_FILLED).value
        order.updated_at = now
        order.save(using=ALIAS, update_fields=["filled_quantity", "status", "updated_at"])
        paid = commission(
            quantity=execution.quantity,
            price=execution.price,
            multiplier=self.instrument.multiplier,
            rate=self._setting("commission_basis_points", DEFAULT_COMMISSION),
        )
        _report(
            order,
            now=now,
            quantity=execution.quantity,
            price=execution.price,
            commission=paid,
            commission_currency=self.instrument.currency,
            liquidity=execution.liquidity.value,
            flags=list(execution.flags),
        )

    def _setting(self, name: str, default: str) -> Decimal:
        return Decimal(str(self.connection.settings.get(name, default)))


def match(symbols: Sequence[str], *, now: datetime) -> None:
    """Match the working orders of these symbols against their new quotes, and expire DAY orders."""
    with _reading():
        waiting = (
            PaperOrder.objects.using(ALIAS)
            .filter(status__in=WORKING, symbol__in=list(symbols))
            .values_list("account", "symbol")
            .distinct()
        )
        wanted = sorted(set(waiting))
    for account, symbol in wanted:
        with _committing(account):
            market = _Market(account, symbol)
            working = PaperOrder.objects.using(ALIAS).filter(
                account=account, symbol=symbol, status__in=WORKING
            )
            for order in working.order_by("id"):
                if order.expires_at is not None and now >= order.expires_at:
                    _end(order, VenueStatus.EXPIRED, "the trading day has ended", now=now)
                else:
                    market.match(order, rested=True, now=now)


def ledger_positions(account: str) -> dict[str, Decimal]:
    """Return the signed quantity the venue holds for an account, by symbol."""
    held: dict[str, Decimal] = {}
    sums = (
        PaperReport.objects.using(ALIAS)
        .filter(account=account, quantity__isnull=False)
        .values_list("order__symbol", "order__side")
        .annotate(total=Sum("quantity"))
    )
    for symbol, side, total in sums:
        held[symbol] = held.get(symbol, Decimal(0)) + total * Side(side).sign
    return held


@contextmanager
def _committing(account: str) -> Iterator[None]:
    """Run one serialised write of the ledger, on disk before it returns.

    The commit itself does not wait for the disk, so that the account's lock is free at once.

    :raises BrokerUnavailable: nothing was written
    :raises OutcomeUnknown: the commit was on its way when the database went
    """
    connection = connections[ALIAS]
    connection.close_if_unusable_or_obsolete()
    committing = False
    try:
        with transaction.atomic(using=ALIAS, durable=True):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('synchronous_commit', 'off', true),"
                    " pg_advisory_xact_lock(hashtextextended(%s, 7))",
                    [account],
                )
            yield
            committing = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_logical_emit_message(false, 'flush', '', true)")
    except (DatabaseError, InterfaceError) as e:
        if committing:
            raise OutcomeUnknown(f"the paper venue's commit was not answered: {e}") from e
        raise BrokerUnavailable(f"the paper venue is away: {e}") from e


@contextmanager
def _reading() -> Iterator[None]:
    connections[ALIAS].close_if_unusable_or_obsolete()
    try:
        yield
    except (DatabaseError, InterfaceError) as e:
        raise BrokerUnavailable(f"the paper venue is away: {e}") from e


def _refuse_unsupported(request: OrderRequest) -> None:
    if request.order_type not in SUPPORTED_TYPES:
        raise OrderRejected(f"order type {request.order_type} is not taken")
    if request.time_in_force not in SUPPORTED_TIMES:
        raise OrderRejected(f"time in force {request.time_in_force} is not taken")
    if request.quantity <= 0:
        raise OrderRejected("the quantity is not positive")


def _end(order: PaperOrder, status: VenueStatus, reason: str, *, now: datetime) -> None:
    order.status, order.reason, order.updated_at = status.value, reason, now
    order.save(using=ALIAS, update_fields=["status", "reason", "updated_at"])
    _report(order, now=now)


def _report(order: PaperOrder, *, now: datetime, **execution: object) -> None:
    """Write a line of the ledger: the order as it now stands, with an execution if there is one."""
    PaperReport.objects.using(ALIAS).create(
        account=order.account,
        order=order,
        status=order.status,
        reason=order.reason,
        filled_quantity=order.filled_quantity,
        at=now,
        **execution,
    )


def _order_report(order: PaperOrder) -> OrderReport:
    """Return the order as it stands, with every execution."""
    lines = PaperReport.objects.using(ALIAS).filter(order=order, quantity__isnull=False)
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=str(order.pk),
        status=VenueStatus(order.status),
        filled_quantity=order.filled_quantity,
        reported_at=order.updated_at,
        reason=order.reason,
        fills=tuple(_fill_report(order, line) for line in lines.order_by("id")),
    )


def _line_report(line: PaperReport) -> OrderReport:
    """Return one line of the ledger as the stream tells it."""
    order = line.order
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=str(order.pk),
        status=VenueStatus(line.status),
        filled_quantity=line.filled_quantity,
        reported_at=line.at,
        reason=line.reason,
        fills=() if line.quantity is None else (_fill_report(order, line),),
    )


def _fill_report(order: PaperOrder, line: PaperReport) -> FillReport:
    if line.quantity is None or line.price is None or line.commission is None:
        raise ValueError(f"report {line.pk} is no execution")
    return FillReport(
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
    )
