from django.db import migrations

VIEW = """
CREATE VIEW portfolio_unitgreek AS
SELECT i.id AS instrument_id,
       CASE WHEN i.kind = 'OPTION' THEN g.as_of ELSE 'infinity' END AS as_of,
       CASE WHEN i.kind = 'OPTION' THEN g.delta::numeric ELSE i.multiplier END AS delta,
       CASE WHEN i.kind = 'OPTION' THEN g.gamma::numeric ELSE 0 END AS gamma,
       CASE WHEN i.kind = 'OPTION' THEN g.vega::numeric ELSE 0 END AS vega,
       CASE WHEN i.kind = 'OPTION' THEN g.theta::numeric ELSE 0 END AS theta,
       CASE WHEN i.kind = 'OPTION' THEN g.rho::numeric ELSE 0 END AS rho
FROM brokers_instrument i LEFT JOIN portfolio_optiongreeks g ON g.instrument_id = i.id
"""


class Migration(migrations.Migration):
    """What one unit of an instrument reacts to: an option's as last valued, else its multiplier."""

    dependencies = [("portfolio", "0008_names"), ("brokers", "0010_priced_instruments")]
    operations = [migrations.RunSQL(VIEW, "DROP VIEW portfolio_unitgreek")]
