"""What every test on the running site begins with."""

import pytest

MARKET_IS_BACK = """
SELECT (SELECT max(received_at) FROM brokers_quote) > now() - interval '1 second'
   AND coalesce((SELECT min(evaluated_at) FROM risk_breaker WHERE is_enabled)
                > now() - interval '3 seconds', true)
"""


@pytest.fixture
def market_is_back(site):
    """Begin when the market loop, which a test before may have killed, quotes and watches again."""
    site.wait_for(MARKET_IS_BACK, seconds=60)
