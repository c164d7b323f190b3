"""How positions look to the outside: in REST answers, events and on the page."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.instruments import decimal_text, optional_text
from portfolio.holding import Holding, unrealized_pnl


def position_json(
    held: Holding,
    *,
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
    """Return a position as clients see it; without a mark its unrealized PnL is unknown (null)."""
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
        "realized_pnl": decimal_text(held.realized_pnl),
        "unrealized_pnl": optional_text(pnl),
        "commission": decimal_text(held.commission),
        "currency": currency,
        "updated_at": updated_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
