"""The venue's own order of trades, in positions and closed trades."""

from django.db import migrations, models

#: Ids that are numbers count as numbers; this venue's are.
PLACE = "CASE WHEN {0} ~ '^[0-9]+$' THEN {0}::numeric ELSE 0 END"
BACKFILL = f"""
UPDATE portfolio_closedtrade SET sequence = {PLACE.format("venue_trade_id")};
UPDATE portfolio_position
SET folded_sequence = {PLACE.format("folded_trade_id")}, fold_points = '[]';
"""  # noqa: S608 our own names


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0005_greeks")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            model_name="position",
            name="folded_sequence",
            field=models.DecimalField(db_default=0, decimal_places=0, default=0, max_digits=64),
        ),
        migrations.AddField(
            model_name="closedtrade",
            name="sequence",
            field=models.DecimalField(decimal_places=0, default=0, max_digits=64),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="closedtrade",
            name="venue_trade_id",
            field=models.CharField(db_collation="C", max_length=64),
        ),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="closedtrade", name="closed_trade_newest"),
        migrations.AddIndex(
            model_name="closedtrade",
            index=models.Index(
                fields=["connection", "strategy", "-closed_at", "-sequence", "-id"],
                name="closed_trade_newest",
            ),
        ),
    ]
