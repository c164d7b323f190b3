"""Whom a request comes from, and by which scheme, behind proxies of our own.

Each proxy appends the address that it was asked from to `X-Forwarded-For`, so of as many entries as
there are proxies the leftmost is the client; what stands before it anybody may have written.
Without trusted hops the headers count for nothing. They end here: nothing further in reads them.
"""

import ipaddress
from typing import Any

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"
TLS = {"http": "https", "ws": "wss"}


def as_seen_outside(scope: dict[str, Any], *, hops: int) -> dict[str, Any]:
    """Return an ASGI scope with the client's own address and scheme, without forwarding headers."""
    told = {
        name: b",".join(value for n, value in scope["headers"] if n == name)
        for name in (FORWARDED_FOR, FORWARDED_PROTO)
    }
    kept = [
        (name, value) for name, value in scope["headers"] if not name.startswith(b"x-forwarded")
    ]
    seen = scope | {"headers": kept}
    if (address := _entry(told[FORWARDED_FOR], hops)) and _is_address(address):
        seen["client"] = (address, 0)
    schemes = told[FORWARDED_PROTO].split(b",")
    if hops and schemes[-min(hops, len(schemes))].strip() in {b"https", b"wss"}:
        seen["scheme"] = TLS.get(scope["scheme"], scope["scheme"])
    return seen


def _entry(header: bytes, hops: int) -> str | None:
    entries = header.decode("latin1").split(",")
    return entries[-hops].strip() if 0 < hops <= len(entries) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
