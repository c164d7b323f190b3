"""What a group has made and would make: PnL leg by leg, Greeks, net debit, extremes at expiry."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from brokers.instruments import InstrumentKind, decimal_text, optional_text
from brokers.models import Instrument
from brokers.symbols import Right
from orders.booking import Folded, effective, fold, in_order
from orders.folding import amendments_of, execution
from orders.group_course import FINAL
from orders.group_payloads import group_json, payoff_json
from orders.models import Fill, FillAmendment, Order, OrderGroup, Origin
from orders.payloads import order_json, time_text
from portfolio.aggregation import GREEKS
from portfolio.holding import unrealized_pnl
from portfolio.payoff import Leg, MixedExpiries, Payoff, payoff

ZERO = Decimal(0)
LATELY = timedelta(seconds=5)


def of_accounts(accounts: Iterable[str]) -> QuerySet[OrderGroup]:
    """Return the groups of these accounts."""
    rows = OrderGroup.objects.filter(connection__name__in=list(accounts))
    return rows.select_related("connection", "signal")


def moving(count: int) -> QuerySet[OrderGroup]:
    """Return the newest groups that hold something or are on their way, or have just ended."""
    lately = timezone.now() - LATELY
    rows = OrderGroup.objects.exclude(status__in=FINAL) | OrderGroup.objects.filter(
        updated_at__gt=lately
    )
    return rows.select_related("connection", "signal").order_by("-pk")[:count]


def brief(group: OrderGroup) -> dict[str, Any]:
    """Return a group with its orders, as a list shows it."""
    return _with_orders(group, group.orders.select_related("instrument").order_by("leg", "pk"))


def describe(group: OrderGroup) -> dict[str, Any]:
    """Return a group with its PnL, Greeks and extremes at expiry.

    PnL is of its own fills, commission apart; what has no mark makes it unknown. Extremes are of
    what is held, at the prices that were paid; None where nothing is, or where they cannot be told.
    """
    (held,) = _hold([group])
    return _with_orders(group, held.orders) | {
        "pnl": held.pnl(),
        "greeks": held.greeks(),
        "held": payoff_json(held.payoff()),
    }


def rows(groups: Iterable[OrderGroup]) -> list[dict[str, Any]]:
    """Return groups as lines of the page: what each is, where it stands, what it has made."""
    return [_row(held) for held in _hold(list(groups))]


def _row(held: "_Held") -> dict[str, Any]:
    group, extremes = held.group, payoff_json(held.payoff()) or {}
    greeks: Mapping[str, float | None] = held.greeks() or dict.fromkeys(GREEKS)
    return {
        "id": group.pk,
        "account": group.connection.name,
        "strategy": group.strategy,
        "type": str(group.type),
        "legs": ", ".join(
            f"{decimal_text(leg.held.quantity)} {leg.instrument.symbol}" for leg in held.legs
        ),
        "status": str(group.status),
        "alert": group.alert,
        "net_debit": extremes.get("net_debit"),
        "max_loss": extremes.get("max_loss"),
        "total_pnl": held.pnl()["total_pnl"],
        "delta": greeks["delta"],
        "vega": greeks["vega"],
        "updated_at": time_text(group.updated_at),
    }


def _with_orders(group: OrderGroup, orders: Iterable[Order]) -> dict[str, Any]:
    account = group.connection.name
    legs = [order_json(o, account=account, symbol=o.instrument.symbol) for o in orders]
    return group_json(group, account=account, legs=legs)


def _hold(groups: Sequence[OrderGroup]) -> list["_Held"]:
    """Return what groups hold, with as many statements for many as for one."""
    related = ("instrument", "instrument__quote", "instrument__greeks")
    orders: defaultdict[int, list[Order]] = defaultdict(list)
    found = Order.objects.filter(group__in=groups).select_related(*related)
    for order in found.order_by("leg", "pk"):
        orders[order.group_id or 0].append(order)
    fills = list(Fill.objects.filter(order__group__in=groups))
    amended = FillAmendment.objects.filter(
        connection__in={group.connection_id for group in groups},
        venue_trade_id__in={fill.venue_trade_id for fill in fills},
    ).exists()
    by_order: defaultdict[int, list[Fill]] = defaultdict(list)
    for fill in fills:
        by_order[fill.order_id].append(fill)
    return [_Held(group, orders[group.pk], by_order, amended=amended) for group in groups]


class _Held:
    """What one group holds, leg by leg."""

    def __init__(
        self,
        group: OrderGroup,
        orders: Sequence[Order],
        fills: Mapping[int, Sequence[Fill]],
        *,
        amended: bool,
    ) -> None:
        self.group, self.orders = group, orders
        self.legs = []
        for opened in orders:
            if opened.origin != Origin.SIGNAL:
                continue
            own = [f for o in orders if o.leg == opened.leg for f in fills.get(o.pk, ())]
            self.legs.append(_Leg(opened, own, amended=amended))

    def pnl(self) -> dict[str, Any]:
        """Return what its own fills have made; what has no mark makes it unknown."""
        realized = sum((leg.held.realized_pnl for leg in self.legs), ZERO)
        unrealized = _total([leg.unrealized for leg in self.legs])
        commission = sum((leg.held.commission for leg in self.legs), ZERO)
        total = None if unrealized is None else realized + unrealized - commission
        return {
            "realized_pnl": decimal_text(realized),
            "unrealized_pnl": optional_text(unrealized),
            "commission": decimal_text(commission),
            "total_pnl": optional_text(total),
            "legs": [leg.as_json() for leg in self.legs],
        }

    def greeks(self) -> dict[str, float] | None:
        """Return the sums over what is held; None where something is not valued."""
        sums = dict.fromkeys(GREEKS, 0.0)
        for leg in self.legs:
            if not leg.held.quantity:
                continue
            unit = _unit(leg.instrument)
            if unit is None:
                return None
            for name in GREEKS:
                sums[name] += float(leg.held.quantity) * unit[name]
        return sums

    def payoff(self) -> Payoff | None:
        """Return the extremes at expiry of what is held, at the prices that were paid."""
        held = [leg for leg in self.legs if leg.held.quantity]
        if not held:
            return None
        try:
            return payoff([leg.at_expiry for leg in held])
        except MixedExpiries:
            return None


class _Leg:
    """One leg: its instrument, and the fold of what has been traded in it for the group."""

    def __init__(self, opened: Order, fills: Sequence[Fill], *, amended: bool) -> None:
        self.opened, self.instrument = opened, opened.instrument
        done = in_order(map(execution, fills))
        counting = effective(done, amendments_of(opened, done) if amended else {})
        self.held = fold(Folded(), counting, multiplier=self.instrument.multiplier).now.held

    @property
    def at_expiry(self) -> Leg:
        """Return it as a part of a payoff, at the price that was paid."""
        instrument = self.instrument
        return Leg(
            underlying=instrument.underlying or instrument.symbol,
            quantity=self.held.quantity,
            multiplier=instrument.multiplier,
            price=self.held.average_price or ZERO,
            sign={"": 0, Right.CALL: 1, Right.PUT: -1}[instrument.right],
            strike=instrument.strike,
            expiry=instrument.expiry_date,
        )

    @property
    def unrealized(self) -> Decimal | None:
        """Return what is open at its mark; None without one."""
        if not self.held.quantity:
            return ZERO
        quote = getattr(self.instrument, "quote", None)
        mark = quote.mark if quote else None
        if mark is None:
            return None
        return unrealized_pnl(self.held, mark=mark, multiplier=self.instrument.multiplier)

    def as_json(self) -> dict[str, Any]:
        """Return the leg's part of the PnL."""
        return {
            "leg": self.opened.leg,
            "symbol": self.instrument.symbol,
            "quantity": decimal_text(self.held.quantity),
            "average_price": optional_text(self.held.average_price),
            "realized_pnl": decimal_text(self.held.realized_pnl),
            "unrealized_pnl": optional_text(self.unrealized),
            "commission": decimal_text(self.held.commission),
        }


def _unit(instrument: Instrument) -> dict[str, float] | None:
    if instrument.kind != InstrumentKind.OPTION:
        return dict.fromkeys(GREEKS, 0.0) | {"delta": float(instrument.multiplier)}
    valued = getattr(instrument, "greeks", None)
    if valued is None or valued.problem:
        return None
    return {name: getattr(valued, name) for name in GREEKS}


def _total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None
