"""The paper ledger's cash to the last digit, summed again from its executions."""

from django.db import migrations, models

SUM_AGAIN = """
UPDATE brokers_paperholding h SET cash = s.cash
FROM (SELECT o.account, o.symbol,
             sum(CASE o.side WHEN 'BUY' THEN -1 ELSE 1 END * r.quantity * r.price * i.multiplier)
                 AS cash
      FROM brokers_paperreport r
      JOIN brokers_paperorder o ON o.id = r.order_id
      JOIN brokers_instrument i ON i.symbol = o.symbol
      WHERE r.quantity IS NOT NULL
      GROUP BY o.account, o.symbol) AS s
WHERE h.account = s.account AND h.symbol = s.symbol
"""


class Migration(migrations.Migration):
    dependencies = [("brokers", "0007_one_spelling")]
    operations = [
        migrations.RunSQL(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_timeout = 0",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="paperholding",
            name="cash",
            field=models.DecimalField(decimal_places=30, default=0, max_digits=80),
        ),
        migrations.RunSQL(SUM_AGAIN, migrations.RunSQL.noop),
    ]
