import secrets

from django.db import migrations

from execution_site.floor.integrity import append_only_sql


def install(apps, schema_editor):
    """Make the one control row: a new installation starts in GUIDE, with an id of its own."""
    control = apps.get_model("risk", "SystemControl")
    control.objects.get_or_create(pk=1, defaults={"installation": secrets.token_hex(8)})


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial")]
    operations = [
        migrations.RunPython(install, migrations.RunPython.noop),
        migrations.RunSQL(append_only_sql("risk_riskdecision"), migrations.RunSQL.noop),
    ]
