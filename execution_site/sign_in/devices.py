"""Second factors as rows: a person's authenticator and recovery codes, in django-otp's tables.

An authenticator's secret is sealed to its person; of a recovery code its hash is kept.
"""

import hashlib
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from os import urandom
from typing import Self

from django.contrib.auth.models import User
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from execution_site.floor import locks, sealing

SECRET_BYTES = 20
RECOVERY_CODES, RECOVERY_BYTES = 10, 10  # 80 bits each: nobody guesses one from its hash


class Authenticator(TOTPDevice):
    """An app that shows a code of six digits, another each half minute; a code counts once."""

    class Meta:
        proxy = True

    @property
    def bin_key(self) -> bytes:
        """Return the secret.

        :raises sealing.Unsealable: it was sealed with another key, or to another person
        """
        return open_secret(self.key, person=self.user_id)

    @classmethod
    def of(cls, user: User) -> Self | None:
        """Return a person's authenticator, locked for the transaction."""
        theirs = locks.for_update(cls.objects.filter(user_id=user.pk, confirmed=True))
        found: Self | None = theirs.first()
        return found


class RecoverySheet(StaticDevice):
    """Recovery codes of a person, each good once."""

    class Meta:
        proxy = True

    def verify_token(self, token: str) -> bool:
        """Tell whether this is one of the codes; it is none afterwards."""
        used: bool = super().verify_token(_mark(token))
        return used

    def renew(self) -> list[str]:
        """Replace all codes; return the new ones, which are kept nowhere."""
        codes = [b32encode(urandom(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
        self.token_set.all().delete()
        for code in codes:
            self.token_set.create(token=_mark(code))
        return ["-".join(code[i : i + 4] for i in range(0, len(code), 4)) for code in codes]


def new_secret(*, person: int) -> str:
    """Return a new secret, sealed to a person."""
    return seal_secret(urandom(SECRET_BYTES), person=person)


def seal_secret(secret: bytes, *, person: int, key: str = "") -> str:
    """Return a secret as it is kept: under the newest CREDENTIALS_KEY, or under this one."""
    return urlsafe_b64encode(sealing.seal(secret, address=_address(person), key=key)).decode()


def open_secret(sealed: str, *, person: int) -> bytes:
    """Return a person's secret.

    :raises sealing.Unsealable: it was sealed with another key, or to another person
    """
    return sealing.unseal(urlsafe_b64decode(sealed), address=_address(person))


def reseal(*, key: str) -> int:
    """Seal every secret under another key; return how many."""
    rows = list(locks.for_update(Authenticator.objects.order_by("pk")))
    for row in rows:
        row.key = seal_secret(row.bin_key, person=row.user_id, key=key)
        row.save(update_fields=["key"])
    return len(rows)


def _address(person: int) -> str:
    return f"otp_totp_totpdevice:{person}"


def _mark(code: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(code.encode()).digest())[:16].decode()
