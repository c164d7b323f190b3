"""Quotes hold what somebody quoted and nothing else; what is stored already is put right."""

from decimal import Decimal

from django.db import migrations, models

LEAST, MOST = Decimal("1E-10"), Decimal("999999999999999999.9999999999")

#: NaN is above every number in PostgreSQL, and so outside of the range.
PUT_RIGHT = f"""
UPDATE brokers_quote SET has_book = true
WHERE coalesce(bid, ask, bid_size, ask_size) IS NOT NULL;

UPDATE brokers_quote SET bid = NULL, bid_size = NULL
WHERE (bid BETWEEN {LEAST:f} AND {MOST:f}) IS NOT TRUE
   OR (bid_size BETWEEN {LEAST:f} AND {MOST:f}) IS FALSE;

UPDATE brokers_quote SET ask = NULL, ask_size = NULL
WHERE (ask BETWEEN {LEAST:f} AND {MOST:f}) IS NOT TRUE
   OR (ask_size BETWEEN {LEAST:f} AND {MOST:f}) IS FALSE;

UPDATE brokers_quote SET last = NULL, last_size = NULL
WHERE (last BETWEEN {LEAST:f} AND {MOST:f}) IS NOT TRUE;

UPDATE brokers_quote SET last_size = 0
WHERE (last_size BETWEEN 0 AND {MOST:f}) IS FALSE;

SET CONSTRAINTS ALL IMMEDIATE;  -- a row changed twice has its key looked at before the next ALTER
"""  # noqa: S608 our own numbers


def _nobody_or_within(name, least):
    return models.Q((f"{name}__isnull", True)) | models.Q((f"{name}__range", (least, MOST)))


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0005_derivatives"),
    ]

    operations = [
        migrations.AddField(
            model_name="quote",
            name="has_book",
            field=models.BooleanField(default=False),
        ),
        migrations.RunSQL(PUT_RIGHT, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="quote",
            constraint=models.CheckConstraint(
                condition=_nobody_or_within("bid", LEAST)
                & _nobody_or_within("ask", LEAST)
                & _nobody_or_within("bid_size", LEAST)
                & _nobody_or_within("ask_size", LEAST)
                & _nobody_or_within("last", LEAST)
                & _nobody_or_within("last_size", Decimal(0)),
                name="quote_of_somebody",
            ),
        ),
    ]
