"""Fills, orders and positions are summed and folded again, to the last digit.

The fold is written out here, as it was at this migration: later versions of it do not change this.
"""

import json
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import groupby

from django.db import migrations, models

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
ZERO = Decimal(0)

#: An amendment's commission is in its trade's currency; one whose trade never came, the quote's.
AMENDED_IN = """
ALTER TABLE orders_fillamendment DISABLE TRIGGER orders_fillamendment_no_change;
UPDATE orders_fillamendment a SET commission_currency = coalesce(
    (SELECT f.commission_currency FROM orders_fill f
     WHERE f.connection_id = a.connection_id AND f.instrument_id = a.instrument_id
       AND f.venue_trade_id = a.venue_trade_id AND f.side = a.side),
    (SELECT i.currency FROM brokers_instrument i WHERE i.id = a.instrument_id));
ALTER TABLE orders_fillamendment ENABLE TRIGGER orders_fillamendment_no_change;
"""
#: Only commissions in the instrument's currency are in an order's total.
SUM_AGAIN = """
UPDATE orders_order o SET filled_cost = s.cost, commission = s.commission
FROM (SELECT f.order_id,
             sum(coalesce(a.quantity, f.quantity) * coalesce(a.price, f.price)) AS cost,
             coalesce(sum(coalesce(a.commission, f.commission)) FILTER (
                 WHERE coalesce(a.commission_currency, f.commission_currency) = i.currency), 0)
                 AS commission
      FROM orders_fill f
      JOIN brokers_instrument i ON i.id = f.instrument_id
      LEFT JOIN LATERAL (
          SELECT CASE a.kind WHEN 'BUST' THEN 0 ELSE a.quantity END AS quantity, a.price,
                 CASE a.kind WHEN 'BUST' THEN 0 ELSE a.commission END AS commission,
                 a.commission_currency
          FROM orders_fillamendment a
          WHERE a.connection_id = f.connection_id AND a.instrument_id = f.instrument_id
            AND a.venue_trade_id = f.venue_trade_id AND a.side = f.side
          ORDER BY a.revision DESC LIMIT 1) AS a ON true
      GROUP BY f.order_id) AS s
WHERE s.order_id = o.id AND (o.filled_cost, o.commission) <> (s.cost, s.commission)
"""

#: What groups hold is worked out anew, from the first fill, by whoever looks next.
SHARE_AGAIN = """
UPDATE orders_positionshare SET quantity = 0, cost = 0, realized_pnl = 0, commission = 0;
UPDATE orders_sharedposition
SET seen_at = NULL, seen_count = 0, through = 0, newest_id = NULL, amendments = 0
"""


def refold(apps, schema_editor):
    """Fold every position again from its first fill, and write its closed trades anew."""
    Fill = apps.get_model("orders", "Fill")
    Amendment = apps.get_model("orders", "FillAmendment")
    Position = apps.get_model("portfolio", "Position")
    ClosedTrade = apps.get_model("portfolio", "ClosedTrade")
    amended = {
        (a.connection_id, a.instrument_id, a.venue_trade_id, a.side): a
        for a in Amendment.objects.order_by("revision").iterator()
    }
    positions = {
        (p.connection_id, p.strategy, p.instrument_id): p
        for p in Position.objects.exclude(folded_at=None)
    }
    ClosedTrade.objects.all().delete()
    fills = Fill.objects.select_related("instrument").order_by(
        "connection_id",
        "strategy",
        "instrument_id",
        "traded_at",
        "sequence",
        "venue_trade_id",
        "side",
    )
    for key, own in groupby(
        fills.iterator(), lambda f: (f.connection_id, f.strategy, f.instrument_id)
    ):
        counting = []
        for f in own:
            a = amended.get((f.connection_id, f.instrument_id, f.venue_trade_id, f.side))
            if a is None or a.kind != "BUST":
                counting.append((f, f if a is None else a))
        position = positions.get(key)
        if position is not None:
            closed = _fold(position, counting)
            position.save()
            names = dict(zip(("connection_id", "strategy", "instrument_id"), key, strict=True))
            ClosedTrade.objects.bulk_create(ClosedTrade(**names, **one) for one in closed)


def _fold(position, counting):
    """Put the fold of these (fill, what counts of it) into a position; return its closed trades."""
    quantity = cost = realized = commission = closed_pnl = ZERO
    day, opening, elsewhere, closed, newest = None, (ZERO,) * 4, {}, [], None
    for fill, counts in counting:
        if day is None or fill.trading_date > day:
            day, opening = fill.trading_date, (quantity, cost, realized, commission)
        if counts.commission_currency == fill.instrument.currency:
            commission += counts.commission
        elif counts.commission:
            name = counts.commission_currency
            elsewhere[name] = elsewhere.get(name, ZERO) + counts.commission
        signed = counts.quantity if fill.side == "BUY" else -counts.quantity
        closing = ZERO
        if quantity * signed < 0:
            closing = min(abs(signed), abs(quantity)).copy_sign(quantity)
            share = cost
            if abs(closing) != abs(quantity):
                share = EXACT.divide(EXACT.multiply(cost, closing), quantity)
                share = share.quantize(Decimal("1E-20"), context=EXACT)
            gain = EXACT.subtract(EXACT.multiply(closing, counts.price), share)
            realized = EXACT.fma(gain, fill.instrument.multiplier, realized)
            cost, quantity, signed = (
                EXACT.subtract(cost, share),
                quantity - closing,
                signed + closing,
            )
            if not quantity:
                net = EXACT.subtract(realized, commission)
                made = EXACT.subtract(net, closed_pnl)
                closed_pnl = net
                closed.append(
                    {
                        "closed_at": fill.traded_at,
                        "sequence": fill.sequence,
                        "venue_trade_id": fill.venue_trade_id,
                        "pnl": made,
                    }
                )
        cost, quantity, newest = EXACT.fma(signed, counts.price, cost), quantity + signed, fill
    position.quantity, position.cost = quantity, cost
    position.realized_pnl, position.commission, position.closed_pnl = (
        realized,
        commission,
        closed_pnl,
    )
    position.folded_date, position.folded_count, position.fold_points = day, len(counting), "[]"
    position.folded_at = newest.traded_at if newest else None
    position.folded_sequence = newest.sequence if newest else 0
    position.folded_trade_id = newest.venue_trade_id if newest else ""
    (
        position.opening_quantity,
        position.opening_cost,
        position.opening_realized_pnl,
        position.opening_commission,
    ) = opening
    position.other_commissions = json.dumps({name: f"{paid:f}" for name, paid in elsewhere.items()})
    return closed


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0008_exact_cash"),
        ("orders", "0015_held_terms"),
        ("portfolio", "0007_exact_amounts"),
    ]
    operations = [
        migrations.RunSQL(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name="fillamendment",
            name="commission_currency",
            field=models.CharField(default="", max_length=8),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="order",
            name="filled_cost",
            field=models.DecimalField(decimal_places=20, default=0, max_digits=60),
        ),
        migrations.AlterField(
            model_name="positionshare",
            name="cost",
            field=models.DecimalField(db_default=0, decimal_places=20, default=0, max_digits=60),
        ),
        migrations.AlterField(
            model_name="positionshare",
            name="realized_pnl",
            field=models.DecimalField(db_default=0, decimal_places=30, default=0, max_digits=80),
        ),
        migrations.RunSQL(AMENDED_IN, migrations.RunSQL.noop),
        migrations.RunSQL(SUM_AGAIN, migrations.RunSQL.noop),
        migrations.RunSQL(SHARE_AGAIN, migrations.RunSQL.noop),
        migrations.RunPython(refold, migrations.RunPython.noop),
    ]
