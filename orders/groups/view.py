"""What a group has made and would make: PnL leg by leg, Greeks, net debit, extremes at expiry.

All of it is of what its legs hold at this moment, whoever has closed the rest
(orders/groups/sharing.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from brokers.contract import Side
from brokers.instruments.kinds import InstrumentKind, decimal_text, optional_text
from brokers.instruments.symbols import Right
from brokers.models import Instrument
from orders.group_states import FINAL
from orders.groups import sharing
from orders.groups.payloads import group_json, payoff_json
from orders.models import Order, OrderGroup, Origin
from orders.payloads import order_json, time_text
from portfolio.aggregation import GREEKS
from portfolio.holding import Holding, unrealized_pnl
from portfolio.payloads import money_text, optional_money
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

    PnL is of the fills that opened and closed its legs, commission apart; what has no mark makes it
    unknown. Extremes at expiry stand three times: `expected` when it was admitted, `actual` as its
    entries were filled, `held` of what is left of that. None where nothing is, or where they cannot
    be told.
    """
    (held,) = _hold([group])
    return _with_orders(group, held.orders) | {
        "pnl": held.pnl(),
        "greeks": held.greeks(),
        "actual": payoff_json(held.entered()),
        "held": payoff_json(held.payoff()),
    }


def rows(groups: Iterable[OrderGroup]) -> list[dict[str, Any]]:
    """Return groups as lines of the page: what each is, where it stands, what it has made."""
    return [_row(held) for held in _hold(list(groups))]


def _row(held: "_Held") -> dict[str, Any]:
    """Return a group's line; what it can lose and make is of what it holds, beside `expected`."""
    group = held.group
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
        "held": _extremes(payoff_json(held.payoff())),
        "expected": _extremes(group.expected),
        "total_pnl": held.pnl()["total_pnl"],
        "delta": greeks["delta"],
        "vega": greeks["vega"],
        "updated_at": time_text(group.updated_at),
    }


def _extremes(found: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return extremes as a line shows them: nothing where they are not known."""
    found = found or {}
    shown = {name: found.get(name) for name in ("net_debit", "max_loss", "max_profit")}
    return shown | {"breakevens": ", ".join(found.get("breakevens", ())) or None}


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
    shares = sharing.of_groups(groups)
    return [_Held(group, orders[group.pk], shares) for group in groups]


class _Held:
    """What one group holds, leg by leg."""

    def __init__(
        self,
        group: OrderGroup,
        orders: Sequence[Order],
        shares: Mapping[tuple[int, int], Holding],
    ) -> None:
        self.group, self.orders = group, orders
        self.legs = [
            _Leg(order, shares[group.pk, order.instrument_id])
            for order in orders
            if order.origin == Origin.SIGNAL
        ]

    def pnl(self) -> dict[str, Any]:
        """Return what its legs have made; what has no mark makes it unknown."""
        realized = sum((leg.held.realized_pnl for leg in self.legs), ZERO)
        unrealized = _total([leg.unrealized for leg in self.legs])
        commission = sum((leg.held.commission for leg in self.legs), ZERO)
        total = None if unrealized is None else realized + unrealized - commission
        return {
            "realized_pnl": money_text(realized),
            "unrealized_pnl": optional_money(unrealized),
            "commission": decimal_text(commission),
            "total_pnl": optional_money(total),
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
        return _payoff(
            [leg.at_expiry(leg.held.quantity, leg.held.average_price) for leg in self.legs]
        )

    def entered(self) -> Payoff | None:
        """Return the extremes at expiry of all that its entries have bought and sold."""
        return _payoff([leg.at_expiry(leg.entered, leg.opened.average_price) for leg in self.legs])


def _payoff(legs: Sequence[Leg]) -> Payoff | None:
    held = [leg for leg in legs if leg.quantity]
    if not held:
        return None
    try:
        return payoff(held)
    except MixedExpiries:
        return None


class _Leg:
    """One leg: its entry, its instrument, and what it holds and has made."""

    def __init__(self, opened: Order, held: Holding) -> None:
        self.opened, self.instrument, self.held = opened, opened.instrument, held

    @property
    def entered(self) -> Decimal:
        """Return what its entry has bought, negative for sold."""
        return self.opened.filled_quantity * Side(self.opened.side).sign

    def at_expiry(self, quantity: Decimal, price: Decimal | None) -> Leg:
        """Return a signed quantity of it, traded at a price, as a part of a payoff."""
        instrument = self.instrument
        return Leg(
            underlying=instrument.underlying or instrument.symbol,
            quantity=quantity,
            multiplier=instrument.multiplier,
            price=price or ZERO,
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
            "realized_pnl": money_text(self.held.realized_pnl),
            "unrealized_pnl": optional_money(self.unrealized),
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
