from django.db import migrations

from orders.models.instrument_guard import guard_sql


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0007_one_spelling"),
        ("orders", "0014_mass_actions"),
        ("portfolio", "0006_trade_sequence"),
    ]
    operations = [migrations.RunSQL(guard_sql(), migrations.RunSQL.noop)]
