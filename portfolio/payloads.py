"""How positions look to the outside: in REST answers, events and on the page."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.instruments.kinds import decimal_text, optional_text
from portfolio.holding import Holding, quantize, unrealized_pnl


def money_text(value: Decimal) -> str:
    """Return an amount to 10 places, as it is shown."""
    return decimal_text(quantize(value))


def optional_money(value: Decimal | None) -> str | None:
    """Return `money_text`, or None for None."""
    return None if value is None else money_text(value)


def by_currency(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    """Return amounts by their currency, those that are nothing left out."""
    return {name: money_text(amounts[name]) for name in sorted(amounts) if amounts[name]}


def position_json(
    held: Holding,
    *,
    other_commissions: Mapping[str, Decimal],
    position_id: int,
    account: str,
    strategy: str,
    symbol: str,
    currency: str,
    multiplier: Decimal,
    mark: Decimal | None,
    marked_at: datetime | None,
    updated_at: datetime,
) -> dict[str, Any]:
    """Return a position as clients see it; without a mark its unrealized PnL is unknown (null).

    Commissions in other currencies than its own stand apart: nothing is added to them.
    """
    pnl = None
    if not held.quantity:
        pnl = Decimal(0)
    elif mark is not None:
        pnl = unrealized_pnl(held, mark=mark, multiplier=multiplier)
    return {
        "id": position_id,
        "account": account,
        "strategy": strategy,
        "symbol": symbol,
        "quantity": decimal_text(held.quantity),
        "average_price": optional_text(held.average_price),
        "last_price": optional_text(mark),
        "marked_at": None if marked_at is None else marked_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "realized_pnl": money_text(held.realized_pnl),
        "unrealized_pnl": optional_money(pnl),
        "commission": decimal_text(held.commission),
        "other_commissions": by_currency(other_commissions),
        "currency": currency,
        "updated_at": updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
