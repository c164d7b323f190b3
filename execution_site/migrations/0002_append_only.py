from django.db import migrations

from execution_site.floor.integrity import append_only_sql


class Migration(migrations.Migration):
    dependencies = [("execution_site", "0001_initial")]
    operations = [
        migrations.RunSQL(append_only_sql(table), migrations.RunSQL.noop)
        for table in ("execution_site_event", "execution_site_seal")
    ]
