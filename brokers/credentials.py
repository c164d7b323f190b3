"""Credentials at rest: sealed to their row (execution_site/floor/sealing.py)."""

import json

from execution_site.floor import sealing


class CredentialsUnreadable(Exception):
    """The stored credentials do not open with this key for this row."""


def seal(values: dict[str, str], *, row_id: int, key: str = "") -> bytes:
    """Return the ciphertext of a connection's credentials, under the newest key or this one."""
    return sealing.seal(json.dumps(values).encode(), address=_address(row_id), key=key)


def unseal(ciphertext: bytes, *, row_id: int) -> dict[str, str]:
    """Return the credentials.

    :raises CredentialsUnreadable: another key, another row, or a changed ciphertext
    """
    try:
        opened: dict[str, str] = json.loads(
            sealing.unseal(bytes(ciphertext), address=_address(row_id))
        )
    except (sealing.Unsealable, ValueError) as e:
        raise CredentialsUnreadable(f"connection {row_id}") from e
    return opened


def _address(row_id: int) -> str:
    return f"brokers_brokerconnection:{row_id}"
