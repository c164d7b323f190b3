"""People with and without an authenticator, and the codes that it shows."""

import re

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django_otp.oath import TOTP

from execution_site.sign_in import devices, second_factor

PASSWORD = "right-password"


def staff(name="olga", **fields):
    return User.objects.create_user(name, password=PASSWORD, is_staff=True, **fields)


def signed_in(user):
    http = Client()
    http.force_login(user)
    return http


def code(secret, *, later=0):
    """Return what an app shows; `later`: so many half minutes from now, -1 to 1 are good."""
    totp = TOTP(secret)
    totp.time = timezone.now().timestamp() + 30 * later
    return f"{totp.token():06}"


def enrolled(user):
    """Give somebody an authenticator; return its secret and recovery codes, its last code used."""
    sealed = devices.new_secret(person=user.pk)
    secret = devices.open_secret(sealed, person=user.pk)
    _, codes = second_factor.enrol(user, sealed, code(secret, later=-1), now=timezone.now())
    return secret, codes


def shown_codes(page):
    return re.findall(r"<code>([a-z2-7-]{19})</code>", page.content.decode())
