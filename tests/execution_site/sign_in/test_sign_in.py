"""Signing in: how passwords are kept."""

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.test import Client, override_settings


@pytest.fixture
def as_configured():
    """The hashers of the site, in place of the tests' cheap one."""
    with override_settings(PASSWORD_HASHERS=settings.CHOSEN_HASHERS):
        yield


def test_a_password_is_hashed_by_argon2id(as_configured):
    made = make_password("a-password")

    assert made.startswith("argon2$argon2id$v=19$m=65536,t=3,p=1$")


def test_an_older_hash_is_renewed_when_its_user_signs_in(db, as_configured):
    user = User.objects.create(
        username="olga", password=make_password("a-password", hasher="pbkdf2_sha256")
    )

    answer = Client().post("/login/", {"username": "olga", "password": "a-password"})

    user.refresh_from_db()
    assert answer.status_code == 302
    assert user.password.startswith("argon2$argon2id$")
