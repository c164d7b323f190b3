from django.db import migrations

VIEW = """
CREATE VIEW risk_scopedlimit AS
SELECT l.id, l.version, l.metric, l.value, l.connection_id, l.strategy, l.symbol, l.underlying,
       l.effective_from, l.effective_until, l.strategy <> '' AS by_strategy,
       coalesce(nullif(concat_ws(', ', 'account ' || c.name,
                                 nullif('strategy ' || l.strategy, 'strategy '),
                                 nullif('symbol ' || l.symbol, 'symbol '),
                                 nullif('underlying ' || l.underlying, 'underlying ')), ''),
                'everything') AS scope
FROM risk_risklimit l LEFT JOIN brokers_brokerconnection c ON c.id = l.connection_id
"""


class Migration(migrations.Migration):
    """Limits with their scope in words."""

    dependencies = [("risk", "0011_more_that_takes_two")]
    operations = [migrations.RunSQL(VIEW, "DROP VIEW risk_scopedlimit")]
