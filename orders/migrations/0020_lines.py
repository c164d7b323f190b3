from django.db import migrations

from orders.lifecycle import OPEN_SQL

VIEW = f"""
CREATE VIEW orders_line AS
SELECT connection_id, strategy, instrument_id, NULL::bigint AS order_id, quantity AS held,
       0::numeric AS buys, 0::numeric AS sells, NULL::numeric AS reserved_price
FROM portfolio_position WHERE quantity <> 0
UNION ALL
SELECT connection_id, strategy, instrument_id, id, 0,
       CASE WHEN side = 'BUY' THEN working_quantity ELSE 0 END,
       CASE WHEN side = 'SELL' THEN working_quantity ELSE 0 END, reserved_price
FROM orders_order WHERE status IN {OPEN_SQL}
"""  # noqa: S608 our own names


class Migration(migrations.Migration):
    """What each position holds, and what each working order may add to it at most."""

    dependencies = [("orders", "0019_access"), ("portfolio", "0009_unit_greeks")]
    operations = [migrations.RunSQL(VIEW, "DROP VIEW orders_line")]
