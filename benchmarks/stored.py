"""Rows in bulk: orders that wait for their fills, and a history that has grown."""

from collections.abc import Sequence

from benchmarks.servers import SYMBOL

_ORDERS = """
WITH made AS (
    INSERT INTO orders_order (origin, client_order_id, venue_order_id, connection_id, strategy,
        instrument_id, side, order_type, time_in_force, quantity, reduce_only, post_only,
        filled_quantity, filled_cost, commission, status, pending_action, status_reason,
        retry_count, correlation_id, trading_date, created_at, updated_at, claimed_at,
        not_found_count, amended_quantity, approved_by)
    SELECT 'SIGNAL', %(prefix)s || n, '', c.id, 'bench', i.id, 'BUY', 'MARKET', 'DAY', 1000,
           false, false, %(filled)s, %(filled)s * 1.1, 0, %(status)s, 'NONE', '', 0, '',
           current_date - 1, now(), now(), now(), 0, 0, ''
    FROM generate_series(1, %(count)s) AS n, brokers_brokerconnection c, brokers_instrument i
    WHERE c.name = %(account)s AND i.symbol = %(symbol)s
    RETURNING id, connection_id, instrument_id, strategy)
INSERT INTO orders_fill (order_id, connection_id, instrument_id, strategy, venue_trade_id, sequence,
    side, quantity, price, commission, commission_currency, liquidity, flags, late, trading_date,
    traded_at, received_at)
SELECT id, connection_id, instrument_id, strategy, %(prefix)s || id, 0, 'BUY', 1000, 1.1, 0, 'USD',
       'TAKER', '[]', false, current_date - 1, now() - interval '1 day', now()
FROM made WHERE %(filled)s > 0
"""
_POSITION = """
INSERT INTO portfolio_position (connection_id, strategy, instrument_id, quantity, cost,
    realized_pnl, commission, folded_trade_id, folded_count, fold_points, closed_pnl, updated_at)
SELECT c.id, 'bench', i.id, 0, 0, 0, 0, '', 0, '[]', 0, now()
FROM brokers_brokerconnection c, brokers_instrument i
WHERE c.name = %(account)s AND i.symbol = %(symbol)s
ON CONFLICT DO NOTHING
"""
_rounds = iter(range(10**9))


def accepted_orders(accounts: Sequence[str], *, each: int) -> None:
    """Store orders that work at the venue, and their positions."""
    for account in accounts:
        _store(account, status="ACCEPTED", filled=0, count=each)


def history(account: str, *, count: int) -> None:
    """Store orders that were filled yesterday, with their fills."""
    _store(account, status="FILLED", filled=1000, count=count)


def nothing_waits() -> None:
    """End the orders that earlier rows left unsent: a worker would begin with them."""
    from orders.models import Order

    Order.objects.filter(status="PENDING").update(status="CANCELLED", due_at=None)


def floor_orders(count: int) -> None:
    """Store the floor's orders."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO floor_order (position_id, status, quantity)"
            " SELECT n %% 16, 'ACCEPTED', 1000 FROM generate_series(1, %s) AS n",
            [count],
        )


def _store(account: str, *, status: str, filled: int, count: int) -> None:
    from django.db import connection

    params = {"account": account, "symbol": SYMBOL, "status": status, "filled": filled}
    params |= {"count": count, "prefix": f"x{next(_rounds)}x"}
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET transaction_timeout = 0")
        cursor.execute(_POSITION, params)
        cursor.execute(_ORDERS, params)
        cursor.execute("ANALYZE orders_order, orders_fill")
