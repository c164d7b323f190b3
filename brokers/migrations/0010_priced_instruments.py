from django.db import migrations

VIEW = """
CREATE VIEW brokers_pricedinstrument AS
SELECT i.id AS instrument_id, i.symbol, coalesce(nullif(i.underlying, ''), i.symbol) AS underlying,
       i.currency, i.margin_rate, i.multiplier,
       (SELECT coalesce((q.bid + q.ask) / 2, q.last) FROM brokers_quote q
        WHERE q.instrument_id = i.id) AS mark
FROM brokers_instrument i
"""


class Migration(migrations.Migration):
    """Instruments with their mark: the middle of the book, the last price where it has one side."""

    dependencies = [("brokers", "0009_quotes_of_bars")]
    operations = [migrations.RunSQL(VIEW, "DROP VIEW brokers_pricedinstrument")]
