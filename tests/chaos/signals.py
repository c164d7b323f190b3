"""Signals sent to a site whose processes are killed, and what must be true of it afterwards."""

import time

import httpx

RETRY_SECONDS = 60
SETTLED = """
SELECT NOT EXISTS (SELECT 1 FROM orders_order
                   WHERE status IN ('PENDING', 'SUBMITTING', 'IN_DOUBT')
                      OR (order_type = 'MARKET' AND status NOT IN
                          ('FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'FAILED')))
"""
SENT_TWICE = """
SELECT client_order_id, count(*) FROM brokers_paperorder GROUP BY 1 HAVING count(*) > 1
"""
SENT_WITHOUT_LEAVE = """
SELECT p.id FROM brokers_paperorder p
LEFT JOIN orders_order o ON o.client_order_id = p.client_order_id
LEFT JOIN orders_submissionattempt a ON a.order_id = o.id
WHERE a.id IS NULL
"""
UNLIKE_THE_VENUE = """
SELECT o.id, o.status, o.filled_quantity, p.status, p.filled_quantity
FROM orders_order o JOIN brokers_paperorder p ON p.client_order_id = o.client_order_id
WHERE o.filled_quantity <> p.filled_quantity
"""
POSITIONS = """
SELECT p.id FROM portfolio_position p
JOIN (SELECT connection_id, strategy, instrument_id,
             sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS held
      FROM orders_fill GROUP BY 1, 2, 3) f USING (connection_id, strategy, instrument_id)
WHERE p.quantity <> f.held
"""


def body(key, *, strategy="crash", symbol="EURUSD", action="BUY", quantity="1000"):
    wanted = {"signal_id": key, "strategy": strategy, "symbol": symbol, "action": action}
    return wanted | ({"quantity": quantity} if quantity else {})


def post_until_answered(client, wanted):
    """Send a signal as a careful client does: the same key again until there is an answer."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            answer = client.post("/api/v1/signals", json=wanted)
            if answer.status_code < 500:
                return answer
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"no answer for {wanted['signal_id']}")
        time.sleep(0.1)


def assert_consistent(site):
    """The paper ledger, joined to the attempts, is the witness."""
    site.wait_for(SETTLED, seconds=40)
    assert site.sql(SENT_TWICE) == []
    assert site.sql(SENT_WITHOUT_LEAVE) == []
    assert site.sql(UNLIKE_THE_VENUE) == []
    assert site.sql(POSITIONS) == []
