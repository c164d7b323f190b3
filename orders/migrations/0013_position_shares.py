"""What groups hold of positions; what was closed elsewhere follows from it."""

import django.db.models.deletion
from django.db import migrations, models

#: Every leg has its share, of nothing yet; the sweeper finds them behind their fills.
BEGIN = """
INSERT INTO orders_sharedposition (position_id, seen_count, through, amendments)
SELECT DISTINCT p.id, 0, 0, 0
FROM orders_order o JOIN portfolio_position p
  ON p.connection_id = o.connection_id AND p.strategy = o.strategy
 AND p.instrument_id = o.instrument_id
WHERE o.group_id IS NOT NULL;
INSERT INTO orders_positionshare (position_id, group_id, quantity, cost, realized_pnl, commission)
SELECT DISTINCT p.id, o.group_id, 0, 0, 0, 0
FROM orders_order o JOIN portfolio_position p
  ON p.connection_id = o.connection_id AND p.strategy = o.strategy
 AND p.instrument_id = o.instrument_id
WHERE o.group_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0012_unwinding"),
        ("portfolio", "0006_trade_sequence"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="ordergroup",
            name="closed_elsewhere",
        ),
        migrations.CreateModel(
            name="SharedPosition",
            fields=[
                (
                    "position",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="portfolio.position",
                    ),
                ),
                ("seen_at", models.DateTimeField(null=True)),
                ("seen_count", models.PositiveBigIntegerField(default=0)),
                ("through", models.BigIntegerField(default=0)),
                ("amendments", models.PositiveIntegerField(default=0)),
                (
                    "newest",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="orders.fill",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PositionShare",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("quantity", models.DecimalField(decimal_places=10, default=0, max_digits=28)),
                ("cost", models.DecimalField(decimal_places=10, default=0, max_digits=38)),
                ("realized_pnl", models.DecimalField(decimal_places=10, default=0, max_digits=38)),
                ("commission", models.DecimalField(decimal_places=10, default=0, max_digits=38)),
                (
                    "group",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shares",
                        to="orders.ordergroup",
                    ),
                ),
                (
                    "position",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shares",
                        to="orders.sharedposition",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("quantity", 0), _negated=True),
                        fields=["position"],
                        name="share_held",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("position", "group"), name="share_once", nulls_distinct=False
                    )
                ],
            },
        ),
        migrations.RunSQL(BEGIN, migrations.RunSQL.noop),
    ]
