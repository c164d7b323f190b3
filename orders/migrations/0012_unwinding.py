from django.db import migrations, models

#: What had been given up is looked at again: closed where it holds something, CLOSED where not.
REVIVE = """
UPDATE orders_ordergroup
SET status = 'UNWINDING', due_at = now(), settled_at = NULL, unwinding_at = now()
WHERE status = 'FAILED';
UPDATE orders_ordergroup SET unwinding_at = now()
WHERE status = 'UNWINDING' AND unwinding_at IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0011_dry_run")]

    operations = [
        migrations.AddField(
            model_name="ordergroup",
            name="unwinding_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="ordergroup",
            name="escalations",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="ordergroup",
            name="alert",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AlterField(
            model_name="ordergroup",
            name="status",
            field=models.CharField(
                choices=[
                    ("CREATED", "CREATED"),
                    ("PARTIALLY_FILLED", "PARTIALLY_FILLED"),
                    ("FILLED", "FILLED"),
                    ("UNWINDING", "UNWINDING"),
                    ("CLOSED", "CLOSED"),
                    ("CANCELLED", "CANCELLED"),
                    ("REJECTED", "REJECTED"),
                ],
                max_length=24,
            ),
        ),
        migrations.RunSQL(REVIVE, migrations.RunSQL.noop),
    ]
