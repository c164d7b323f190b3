"""A signal that passes, and where it is sent."""

URL = "/api/v1/signals"
FINE = {
    "signal_id": "one",
    "strategy": "alpha",
    "account": "paper",
    "symbol": "AAPL",
    "action": "BUY",
    "quantity": "10",
}
