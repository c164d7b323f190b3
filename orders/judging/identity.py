"""The name an order has at its venue: derived from what it is, never random."""

import base64
import hashlib

LENGTH = 20  # 100 bits; within every venue's length, and letters and digits alone


def client_order_id(
    *,
    installation: str,
    client: str,
    account: str,
    strategy: str,
    signal_id: str,
    leg: int = 0,
) -> str:
    """Return the same id for the same order of the same installation, and no other."""
    parts = (installation, client, account, strategy, signal_id, str(leg))
    text = "\x1f".join(parts)
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode()[:LENGTH].lower()
