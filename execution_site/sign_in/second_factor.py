"""A second proof of who somebody is: a code beside the password. Staff need it, others may have it.

The demo's people need none. Where somebody has an authenticator, it is asked for.
"""

import logging
import math
from base64 import b32encode
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django_otp.oath import TOTP

from execution_site.floor import audit, locks
from execution_site.sign_in import devices
from execution_site.sign_in.devices import Authenticator, RecoverySheet
from execution_site.sign_in.sign_ins import SignIn

DIGITS = 6
ALARMING = 5  # codes refused in a row: whoever gives them knows the password

logger = logging.getLogger(__name__)


class Missing(StrEnum):
    """What somebody who gave their password lacks still."""

    ENROLMENT = "enrolment"
    CODE = "code"


class CodeRefused(Exception):
    """A code does not count; the message says why."""


def missing(sign_in: SignIn, user: Any) -> Missing | None:
    """Return what a sign-in lacks before it may be used."""
    if sign_in.has_authenticator:
        return None if sign_in.authenticator_id else Missing.CODE
    needed = settings.REQUIRE_SECOND_FACTOR and (user.is_staff or user.is_superuser)
    return Missing.ENROLMENT if needed else None


def use_code(user: User, text: str, *, now: datetime) -> Authenticator:
    """Use a code up, of the authenticator or for recovery; return the authenticator.

    :raises CodeRefused: it is none, was used before, or comes too soon after another
    """
    code = "".join(c for c in text.lower() if c.isalnum())
    with transaction.atomic():
        authenticator = Authenticator.of(user)
        device: Any = authenticator if len(code) == DIGITS else _recovery(user)
        if authenticator is None:
            raise CodeRefused("You have no authenticator.")
        allowed, why = device.verify_is_allowed()
        if not allowed:
            seconds = math.ceil((why["locked_until"] - now).total_seconds())
            raise CodeRefused(f"Too soon after a wrong code: wait {max(1, seconds)} s.")
        counts = device.verify_token(code)
        if counts and device is not authenticator:
            left = device.token_set.count()
            _record("recovery_code_used", user, "signed in without the authenticator", now, left)
        elif device.throttling_failure_count == ALARMING:
            _record("codes_refused", user, f"{ALARMING} wrong codes in a row", now, None)
    if not counts:
        times = device.throttling_failure_count
        logger.warning("a code of %s was refused, %d times in a row", user.get_username(), times)
        raise CodeRefused("That code does not count. Each code counts once.")
    return authenticator


def enrol(user: User, sealed: str, text: str, *, now: datetime) -> tuple[Authenticator, list[str]]:
    """Give a person an authenticator, confirmed by a code of it; return it and recovery codes.

    :raises CodeRefused: it is no code of this secret, or the person has an authenticator
    """
    totp = TOTP(devices.open_secret(sealed, person=user.pk), digits=DIGITS)
    totp.time = now.timestamp()
    code = "".join(text.split())
    if not (code.isdecimal() and len(code) == DIGITS and totp.verify(int(code), tolerance=1)):
        raise CodeRefused("That is not the code that the app shows now. Is its clock right?")
    with transaction.atomic(durable=True):
        locks.for_update(User.objects.all()).get(pk=user.pk)  # of two at once, one enrols
        if Authenticator.of(user) is not None:
            raise CodeRefused("You have an authenticator already.")
        made = Authenticator.objects.create(
            user_id=user.pk, name="authenticator", key=sealed, drift=totp.drift, last_t=totp.t()
        )
        _record("second_factor_added", user, "enrolled", now, None)
        return made, _recovery(user).renew()


def renew_recovery_codes(user: User, code: str, *, now: datetime) -> list[str]:
    """Replace a person's recovery codes, for a code.

    :raises CodeRefused: as use_code
    """
    use_code(user, code, now=now)
    with transaction.atomic(durable=True):
        _record("recovery_codes_renewed", user, "asked for", now, devices.RECOVERY_CODES)
        return _recovery(user).renew()


def remove(user: User, *, actor: str, reason: str, now: datetime) -> bool:
    """Take a person's authenticator and recovery codes; return whether there were any."""
    with transaction.atomic(durable=True):
        RecoverySheet.objects.filter(user_id=user.pk).delete()
        removed = bool(Authenticator.objects.filter(user_id=user.pk).delete()[0])
        audit.record(
            "second_factor_removed",
            actor=actor,
            reason=reason,
            at=now,
            before="set up" if removed else None,
            after=None,
            object_id=f"auth.user:{user.pk}",
        )
    return removed


def spoken(sealed: str, user: User) -> tuple[str, str]:
    """Return a secret as an app takes it: the address in a QR code, and text to type."""
    secret = devices.open_secret(sealed, person=user.pk)
    shown = Authenticator(user=user, key=sealed)
    text = b32encode(secret).decode()
    return shown.config_url, " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def codes_left(user: User) -> int:
    """Return how many recovery codes a person has."""
    left: int = _recovery(user).token_set.count()
    return left


def _recovery(user: User) -> RecoverySheet:
    found: RecoverySheet = RecoverySheet.objects.get_or_create(
        user_id=user.pk, defaults={"name": "recovery codes"}
    )[0]
    return found


def _record(action: str, user: User, reason: str, now: datetime, left: int | None) -> None:
    audit.record(
        action,
        actor=user.get_username(),
        reason=reason,
        at=now,
        before=None,
        after=None if left is None else {"recovery_codes": left},
        object_id=f"auth.user:{user.pk}",
    )
