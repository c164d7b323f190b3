"""What a group has made and would make: PnL leg by leg, Greeks, net debit, extremes at expiry."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from brokers.instruments import InstrumentKind, decimal_text, optional_text
from brokers.models import Instrument
from brokers.symbols import Right
from orders.booking import Folded, effective, fold
from orders.folding import amendments_of, execution
from orders.group_course import FINAL
from orders.group_intake import payoff_json
from orders.group_payloads import group_json
from orders.models import Fill, Order, OrderGroup, Origin
from orders.payloads import order_json
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
    account = group.connection.name
    orders = group.orders.select_related("instrument").order_by("leg", "pk")
    legs = [order_json(o, account=account, symbol=o.instrument.symbol) for o in orders]
    return group_json(group, account=account, legs=legs)


def describe(group: OrderGroup) -> dict[str, Any]:
    """Return a group with its PnL, Greeks and extremes at expiry.

    PnL is of its own fills, commission apart; what has no mark makes it unknown. Extremes are of
    what is held, at the prices that were paid; None where nothing is, or where they cannot be told.
    """
    related = ("instrument", "instrument__quote", "instrument__greeks")
    orders = list(group.orders.select_related(*related).order_by("leg", "pk"))
    fills = list(Fill.objects.filter(order__group=group).order_by("traded_at", "venue_trade_id"))
    leg_of = {order.pk: order.leg for order in orders}
    legs = [
        _Leg(opened, [fill for fill in fills if leg_of[fill.order_id] == opened.leg])
        for opened in orders
        if opened.origin == Origin.SIGNAL
    ]
    realized = sum((leg.held.realized_pnl for leg in legs), ZERO)
    unrealized = _total([leg.unrealized for leg in legs])
    commission = sum((leg.held.commission for leg in legs), ZERO)
    total = None if unrealized is None else realized + unrealized - commission
    return brief(group) | {
        "pnl": {
            "realized_pnl": decimal_text(realized),
            "unrealized_pnl": optional_text(unrealized),
            "commission": decimal_text(commission),
            "total_pnl": optional_text(total),
            "legs": [leg.as_json() for leg in legs],
        },
        "greeks": _greeks(legs),
        "held": payoff_json(_payoff(legs)),
    }


def row(group: OrderGroup) -> dict[str, Any]:
    """Return a group as a line of the page: what it is, where it stands, what it has made."""
    found = describe(group)
    held, greeks = found["held"] or {}, found["greeks"] or dict.fromkeys(GREEKS)
    return {
        "id": group.pk,
        "account": found["account"],
        "strategy": found["strategy"],
        "type": found["type"],
        "legs": ", ".join(f"{leg['quantity']} {leg['symbol']}" for leg in found["pnl"]["legs"]),
        "status": found["status"],
        "said": found["failure"] or found["exit_reason"] or found["detail"],
        "net_debit": held.get("net_debit"),
        "max_loss": held.get("max_loss"),
        "total_pnl": found["pnl"]["total_pnl"],
        "delta": greeks["delta"],
        "vega": greeks["vega"],
        "updated_at": found["updated_at"],
    }


class _Leg:
    """One leg: its instrument, and the fold of what has been traded in it for the group."""

    def __init__(self, opened: Order, fills: Sequence[Fill]) -> None:
        self.opened, self.instrument = opened, opened.instrument
        done = [execution(fill) for fill in fills]
        counting = effective(done, amendments_of(opened, done))
        self.held = fold(Folded(), counting, multiplier=self.instrument.multiplier).now.held

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


def _greeks(legs: Sequence[_Leg]) -> dict[str, float] | None:
    """Return the sums over what is held; None where something is not valued."""
    sums = dict.fromkeys(GREEKS, 0.0)
    for leg in legs:
        if not leg.held.quantity:
            continue
        unit = _unit(leg.instrument)
        if unit is None:
            return None
        for name in GREEKS:
            sums[name] += float(leg.held.quantity) * unit[name]
    return sums


def _unit(instrument: Instrument) -> dict[str, float] | None:
    if instrument.kind != InstrumentKind.OPTION:
        return dict.fromkeys(GREEKS, 0.0) | {"delta": float(instrument.multiplier)}
    valued = getattr(instrument, "greeks", None)
    if valued is None or valued.problem:
        return None
    return {name: getattr(valued, name) for name in GREEKS}


def _payoff(legs: Sequence[_Leg]) -> Payoff | None:
    held = [leg for leg in legs if leg.held.quantity]
    if not held:
        return None
    try:
        return payoff(
            [
                Leg(
                    underlying=leg.instrument.underlying or leg.instrument.symbol,
                    quantity=leg.held.quantity,
                    multiplier=leg.instrument.multiplier,
                    price=leg.held.average_price or ZERO,
                    sign={"": 0, Right.CALL: 1, Right.PUT: -1}[leg.instrument.right],
                    strike=leg.instrument.strike,
                    expiry=leg.instrument.expiry_date,
                )
                for leg in held
            ]
        )
    except MixedExpiries:
        return None


def _total(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if len(known) == len(amounts) else None
