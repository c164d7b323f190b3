"""Credentials at rest: AES-256-GCM, the row's id as its address.

The row id is authenticated with the text, so a ciphertext copied to another row does not open.
"""

import hashlib
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from execution_site import secret_keys

NONCE_BYTES = 12


class CredentialsUnreadable(Exception):
    """The stored credentials do not open with this key for this row."""


def _cipher(key: str) -> AESGCM:
    return AESGCM(hashlib.sha256(key.encode()).digest())


def _address(row_id: int) -> bytes:
    return f"brokers_brokerconnection:{row_id}".encode()


def seal(values: dict[str, str], *, row_id: int, key: str = "") -> bytes:
    """Return the ciphertext of a connection's credentials, under the newest key or this one."""
    nonce = os.urandom(NONCE_BYTES)
    cipher = _cipher(key or settings.CREDENTIALS_KEY)
    return nonce + cipher.encrypt(nonce, json.dumps(values).encode(), _address(row_id))


def unseal(ciphertext: bytes, *, row_id: int) -> dict[str, str]:
    """Return the credentials.

    :raises CredentialsUnreadable: another key, another row, or a changed ciphertext
    """
    sealed = bytes(ciphertext)
    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    for key in secret_keys.valid("CREDENTIALS_KEY"):
        try:
            opened: dict[str, str] = json.loads(_cipher(key).decrypt(nonce, body, _address(row_id)))
        except (InvalidTag, ValueError):
            continue
        return opened
    raise CredentialsUnreadable(f"connection {row_id}")
