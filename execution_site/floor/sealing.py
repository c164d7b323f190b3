"""Secrets at rest: AES-256-GCM, each sealed to its address.

The address is authenticated with the text, so a ciphertext copied to another row does not open.
"""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from execution_site.floor import secret_keys

NONCE_BYTES = 12


class Unsealable(Exception):
    """What is stored does not open with this key for this address."""


def seal(plain: bytes, *, address: str, key: str = "") -> bytes:
    """Return the ciphertext under the newest CREDENTIALS_KEY, or under this one."""
    nonce = os.urandom(NONCE_BYTES)
    cipher = _cipher(key or settings.CREDENTIALS_KEY)
    return nonce + cipher.encrypt(nonce, plain, address.encode())


def unseal(sealed: bytes, *, address: str) -> bytes:
    """Return what was sealed.

    :raises Unsealable: another key, another address, or a changed ciphertext
    """
    nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    for key in secret_keys.valid("CREDENTIALS_KEY"):
        try:
            return _cipher(key).decrypt(nonce, body, address.encode())
        except (InvalidTag, ValueError):
            continue
    raise Unsealable(address)


def _cipher(key: str) -> AESGCM:
    return AESGCM(hashlib.sha256(key.encode()).digest())
