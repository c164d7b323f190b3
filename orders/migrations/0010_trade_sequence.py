"""The venue's own order of trades, in fills."""

from django.db import migrations, models

#: Ids that are numbers count as numbers. A rewrite of the table, since fills refuse updates.
BACKFILL = """
ALTER TABLE orders_fill ALTER COLUMN sequence TYPE numeric(64, 0)
    USING CASE WHEN venue_trade_id ~ '^[0-9]+$' THEN venue_trade_id::numeric ELSE 0 END
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0009_working_quantity"), ("portfolio", "0006_trade_sequence")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name="fill",
            name="sequence",
            field=models.DecimalField(decimal_places=0, default=0, max_digits=64),
            preserve_default=False,
        ),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="fill",
            name="venue_trade_id",
            field=models.CharField(db_collation="C", max_length=64),
        ),
        migrations.RemoveIndex(model_name="fill", name="fill_fold"),
        migrations.AddIndex(
            model_name="fill",
            index=models.Index(
                fields=[
                    "connection",
                    "strategy",
                    "instrument",
                    "traded_at",
                    "sequence",
                    "venue_trade_id",
                ],
                name="fill_fold",
            ),
        ),
    ]
