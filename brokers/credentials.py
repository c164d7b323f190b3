"""Credentials at rest: AES-256-GCM, the key from the environment, the row's id as its address.

The row id is authenticated with the text, so a ciphertext copied to another row does not open.
"""

import hashlib
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class CredentialsUnreadable(Exception):
    """The stored credentials do not open with this key for this row."""


def _cipher() -> AESGCM:
    return AESGCM(hashlib.sha256(settings.CREDENTIALS_KEY.encode()).digest())


def _address(row_id: int) -> bytes:
    return f"brokers_brokerconnection:{row_id}".encode()


def seal(values: dict[str, str], *, row_id: int) -> bytes:
    """Return the ciphertext of a connection's credentials."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher().encrypt(nonce, json.dumps(values).encode(), _address(row_id))


def unseal(ciphertext: bytes, *, row_id: int) -> dict[str, str]:
    """Return the credentials.

    :raises CredentialsUnreadable: another key, another row, or a changed ciphertext
    """
    sealed = bytes(ciphertext)
    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        opened: dict[str, str] = json.loads(_cipher().decrypt(nonce, body, _address(row_id)))
    except (InvalidTag, ValueError) as e:
        raise CredentialsUnreadable(f"connection {row_id}") from e
    return opened
