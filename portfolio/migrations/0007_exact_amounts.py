"""Amounts to the last digit, what was held when the day began, commissions of other currencies.

orders.0016_exact_amounts folds every position again, to fill them.
"""

from django.db import migrations, models

MONEY = {"db_default": 0, "default": 0, "max_digits": 28, "decimal_places": 10}
COMMISSION = {"db_default": 0, "default": 0, "max_digits": 38, "decimal_places": 10}
COST = {"db_default": 0, "default": 0, "max_digits": 60, "decimal_places": 20}
PNL = {"db_default": 0, "default": 0, "max_digits": 80, "decimal_places": 30}
ADDED = {
    "folded_date": models.DateField(null=True),
    "opening_quantity": models.DecimalField(**MONEY),
    "opening_cost": models.DecimalField(**COST),
    "opening_realized_pnl": models.DecimalField(**PNL),
    "opening_commission": models.DecimalField(**COMMISSION),
    "other_commissions": models.TextField(db_default="{}", default="{}"),
}
WIDENED = {
    "cost": models.DecimalField(**COST),
    "realized_pnl": models.DecimalField(**PNL),
    "closed_pnl": models.DecimalField(**PNL),
}


class Migration(migrations.Migration):
    dependencies = [("portfolio", "0006_trade_sequence")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0",
            migrations.RunSQL.noop,
        ),
        *(migrations.AddField("position", name, field) for name, field in ADDED.items()),
        *(migrations.AlterField("position", name, field) for name, field in WIDENED.items()),
        migrations.AlterField(
            model_name="closedtrade",
            name="pnl",
            field=models.DecimalField(decimal_places=30, max_digits=80),
        ),
    ]
