"""The rules: each takes the facts and says passed, failed, or could not be evaluated.

A rule that lacks what it needs is NOT_EVALUABLE, and that refuses as well: the gate fails closed.
A limit that nobody set is no rule and is left out. docs/risk.md is the table of all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from risk.checks import book, greeks, order, switches
from risk.checks.verdict import Check, CheckStatus
from risk.facts import Facts

__all__ = ["CHECKS", "Check", "CheckStatus", "run_checks"]

#: One verdict, none where the rule does not apply, or one for each limit that applies.
CHECKS: tuple[Callable[[Facts], Any], ...] = (
    switches.system_mode,
    switches.kill_switch,
    switches.breaker,
    switches.connection_enabled,
    switches.live_trading_enabled,
    switches.reconciling,
    switches.signal_age,
    switches.clock_offset,
    switches.market_open,
    order.symbol_tradable,
    order.symbol_allowed,
    switches.market_data_present,
    switches.quote_fresh,
    switches.spread,
    order.liquidity,
    order.price_collar,
    order.tick_and_lot,
    order.freeze_quantity,
    order.min_notional,
    order.max_order_quantity,
    order.max_order_notional,
    order.max_group_loss,
    book.max_position,
    book.max_open_orders,
    book.max_gross_exposure,
    book.concentration,
    book.margin,
    greeks.max_delta,
    greeks.max_gamma,
    greeks.max_vega,
    greeks.max_theta,
    greeks.max_rho,
    book.daily_trades,
    book.daily_loss,
    book.drawdown,
    book.loss_streak,
    order.duplicate_order,
    order.self_trade,
    order.reduce_only,
)


def run_checks(facts: Facts) -> Iterator[Check]:
    """Yield every verdict that applies, not only of the first that fails."""
    for rule in CHECKS:
        said = rule(facts)
        if isinstance(said, Check):
            yield said
        elif isinstance(said, Iterable):
            yield from said
