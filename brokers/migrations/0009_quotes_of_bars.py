from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0008_exact_cash"),
    ]

    operations = [
        migrations.AddField(
            model_name="quote",
            name="of_bar",
            field=models.BooleanField(default=False),
        ),
    ]
