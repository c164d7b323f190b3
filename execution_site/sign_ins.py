"""The sign-ins of people: a row for each session, without which it is over.

A row knows what the session has proved, and from where it was begun. Its key is a hash, so nobody
who reads the table can take a session over.
"""

import hashlib
from datetime import datetime
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone

from execution_site.devices import Authenticator

BROWSER_LENGTH = 200
MOST_OF_A_PERSON = 50  # at once; the oldest makes room


class SignIn(models.Model):
    """A person signed in. `proved_at`: when they last gave a password or a code."""

    session_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    begun_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    proved_at = models.DateTimeField()
    address = models.CharField(max_length=64, blank=True)
    browser = models.CharField(max_length=BROWSER_LENGTH, blank=True)
    #: The authenticator that has vouched for it; without that one, none has.
    authenticator = models.ForeignKey(
        Authenticator, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    has_authenticator: bool  # of the person, as `current` finds it

    def __str__(self) -> str:
        return f"sign-in of {self.user_id} at {self.begun_at}"

    def prove(self, *, authenticator: Authenticator | None, now: datetime) -> None:
        """Note that the person has proved who they are."""
        self.authenticator, self.proved_at = authenticator, now
        self.save(update_fields=["authenticator", "proved_at"])

    @classmethod
    def current(cls, session_key: str | None, user: User) -> Self | None:
        """Return the sign-in of a session, None where it is over."""
        theirs = Authenticator.objects.filter(user=OuterRef("user"), confirmed=True)
        rows = cls.objects.annotate(has_authenticator=Exists(theirs))
        return rows.filter(session_hash=hashed(session_key), user_id=user.pk).first()


def begin(sender: Any, request: Any, user: Any, **_: Any) -> None:
    """Note that somebody has signed in, whichever way: Django says so for each (apps.py)."""
    if request.session.session_key is None:
        request.session.create()
    now = timezone.now()
    SignIn.objects.create(
        session_hash=hashed(request.session.session_key),
        user=user,
        begun_at=now,
        seen_at=now,
        proved_at=now,
        address=request.META.get("REMOTE_ADDR", "")[:64],
        browser=request.META.get("HTTP_USER_AGENT", "")[:BROWSER_LENGTH],
    )
    older = SignIn.objects.filter(user=user).order_by("-begun_at", "-pk")
    beyond = older.values_list("pk", flat=True)[MOST_OF_A_PERSON:]
    SignIn.objects.filter(pk__in=list(beyond)).delete()


def follow(before: str | None, after: str | None) -> None:
    """Note that a session got another key, or ended."""
    rows = SignIn.objects.filter(session_hash=hashed(before))
    if after and not SignIn.objects.filter(session_hash=hashed(after)).exists():
        rows.update(session_hash=hashed(after))
    else:
        rows.delete()


def hashed(session_key: str | None) -> str:
    """Return what stands for a session's key."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()
