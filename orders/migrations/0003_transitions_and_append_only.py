from django.db import migrations

from execution_site.floor.integrity import append_only_sql
from orders.lifecycle import trigger_sql


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_initial")]
    operations = [
        migrations.RunSQL(trigger_sql("orders_order"), migrations.RunSQL.noop),
        migrations.RunSQL(append_only_sql("orders_fill"), migrations.RunSQL.noop),
    ]
