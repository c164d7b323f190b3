from django.db import migrations, models

from execution_site.floor.access import FUNCTION, trigger_sql

TABLES = (
    "auth_user",
    "auth_group",
    "auth_user_groups",
    "auth_user_user_permissions",
    "auth_group_permissions",
)


class Migration(migrations.Migration):
    dependencies = [
        ("execution_site", "0009_audit_checks"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("table", models.CharField(max_length=63)),
                ("operation", models.CharField(max_length=8)),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(FUNCTION + trigger_sql(TABLES), migrations.RunSQL.noop),
    ]
