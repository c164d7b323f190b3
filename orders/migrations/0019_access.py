from django.db import migrations

from execution_site.floor.access import trigger_sql

TABLES = ("orders_apiclient", "orders_apiclient_accounts", "orders_apikey")


class Migration(migrations.Migration):
    dependencies = [("orders", "0018_owners"), ("execution_site", "0010_access")]
    operations = [migrations.RunSQL(trigger_sql(TABLES), migrations.RunSQL.noop)]
