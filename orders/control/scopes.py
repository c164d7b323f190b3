"""What a kill, a cancel or a flatten is about: names that exist, and the rows that lie in it."""

from collections.abc import Collection
from typing import Any

from brokers.models import Instrument
from orders.models import Order
from portfolio.models import Position
from risk.kills import KillSwitch, TradingScope
from risk.models import Breaker, RiskLimit


class UnknownScope(Exception):
    """It names something that does not exist, and would stop nothing. `errors` name the fields."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("; ".join(f"{e['field']}: {e['detail']}" for e in errors))
        self.errors = errors


def check(scope: TradingScope, *, accounts: Collection[str], allow_unknown: bool = False) -> None:
    """Refuse names that are not known; they are matched exactly.

    `accounts` are those the asker may act on; with `allow_unknown` a strategy that has never traded
    may be named, as one is that shall be stopped before it starts.

    :raises UnknownScope: naming each field
    """
    errors = []
    if scope.account is not None and scope.account not in accounts:
        errors.append(_error("account", scope.account, accounts))
    if scope.strategy is not None and not allow_unknown:
        known = _strategies()
        if scope.strategy not in known:
            errors.append(_error("strategy", scope.strategy, known))
    if scope.symbol is not None and not Instrument.objects.filter(symbol=scope.symbol).exists():
        alike = Instrument.objects.filter(symbol__iexact=scope.symbol)
        errors.append(_error("symbol", scope.symbol, alike.values_list("symbol", flat=True)))
    if errors:
        raise UnknownScope(errors)


def orders_in(scope: TradingScope, accounts: Collection[str]) -> Any:
    """Return the orders that can still work in a scope, as far as it lies in `accounts`."""
    return narrowed(Order.objects.open().filter(connection__name__in=list(accounts)), scope)


def positions_in(scope: TradingScope, accounts: Collection[str]) -> Any:
    """Return what is held in a scope, as far as it lies in `accounts`."""
    held = Position.objects.filter(connection__name__in=list(accounts)).exclude(quantity=0)
    return narrowed(held, scope)


def narrowed(rows: Any, scope: TradingScope) -> Any:
    """Return the orders or positions that lie in a scope."""
    if scope.account:
        rows = rows.filter(connection__name=scope.account)
    if scope.strategy:
        rows = rows.filter(strategy=scope.strategy)
    if scope.symbol:
        rows = rows.filter(instrument__symbol=scope.symbol)
    return rows


def _strategies() -> set[str]:
    """Return every strategy that has had an order, or that a rule names."""
    named: set[str] = set()
    for model in (Position, KillSwitch, RiskLimit, Breaker):
        rows = model._default_manager.exclude(strategy="").order_by()
        named |= set(rows.values_list("strategy", flat=True).distinct())
    return named


def _error(name: str, given: str, known: Any) -> dict[str, str]:
    alike = sorted(one for one in known if one.lower() == given.lower())
    detail = f"no such {name}" + (f"; there is {', '.join(alike)}" if alike else "")
    return {"field": name, "code": f"unknown_{name}", "detail": detail}
