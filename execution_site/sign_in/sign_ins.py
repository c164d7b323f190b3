"""The sign-ins of people: a row for each session, without which it is over.

A row knows what the session has proved, and from where it was begun. Its key is a hash, so nobody
who reads the table can take a session over. A sign-in ends some hours after it was begun, and some
minutes after its person last asked for something (execution_site/sign_in/guard.py says what
counts).
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property

from execution_site.floor import audit
from execution_site.sign_in.devices import Authenticator

BROWSER_LENGTH = 200
MOST_OF_A_PERSON = 50  # at once; the oldest makes room
FRESH = timedelta(minutes=5)  # so long a proof counts for what takes one
SEEN_SECONDS = 60.0  # how exactly it is known when a person was last seen


class SignInQuerySet(models.QuerySet["SignIn"]):
    """Sign-ins that count, and those that do not."""

    def live(self, *, now: datetime) -> Self:
        """Return those that are not over."""
        return self.exclude(_is_over(now))

    def over(self, *, now: datetime) -> Self:
        """Return those that are over by time."""
        return self.filter(_is_over(now))


def _is_over(now: datetime) -> Q:
    idle = timedelta(minutes=settings.SESSION_IDLE_MINUTES)
    whole = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    return Q(seen_at__lte=now - idle) | Q(begun_at__lte=now - whole)


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
    objects = SignInQuerySet.as_manager()

    def __str__(self) -> str:
        return f"sign-in of {self.user_id} at {self.begun_at}"

    @cached_property
    def has_authenticator(self) -> bool:
        """Tell whether its person has an authenticator."""
        if self.authenticator_id is not None:
            return True
        theirs = Authenticator.objects.filter(user_id=self.user_id, confirmed=True)
        return bool(theirs.exists())

    def prove(self, *, authenticator: Authenticator | None, now: datetime) -> None:
        """Note that the person has proved who they are."""
        self.authenticator, self.proved_at = authenticator, now
        self.save(update_fields=["authenticator", "proved_at"])

    def is_fresh(self, *, now: datetime) -> bool:
        """Tell whether its person has just proved who they are."""
        return now - self.proved_at < FRESH

    def see(self, *, now: datetime) -> None:
        """Note that the person is there."""
        if (now - self.seen_at).total_seconds() >= SEEN_SECONDS:
            SignIn.objects.filter(pk=self.pk).update(seen_at=now)

    @classmethod
    def current(cls, session_key: str | None, user: User) -> "SignIn | None":
        """Return the sign-in of a session, None where it is over."""
        rows = cls.objects.live(now=timezone.now())
        return rows.filter(session_hash=hashed(session_key), user_id=user.pk).first()


def begin(sender: Any, request: Any, user: Any, **_: Any) -> None:
    """Note that somebody has signed in, whichever way: Django says so for each (apps.py)."""
    if request.session.session_key is None:
        request.session.create()
    now = timezone.now()
    SignIn.objects.over(now=now).delete()
    Session.objects.filter(expire_date__lte=now).delete()
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


def end(user: User, *, keep: SignIn, only: int | None = None, now: datetime) -> int:
    """End a person's other sign-ins, or one of them; return how many. Their sockets end with them.

    `keep` is the one that asks; it may end itself by naming itself.
    """
    with transaction.atomic(durable=True):
        theirs = SignIn.objects.filter(user=user)
        theirs = theirs.exclude(pk=keep.pk) if only is None else theirs.filter(pk=only)
        if ended := theirs.delete()[0]:
            audit.record(
                "sign_ins_ended",
                actor=user.get_username(),
                reason="their own, ended by them",
                at=now,
                before=None,
                after={"ended": ended},
                object_id=f"auth.user:{user.pk}",
            )
    return ended


def hashed(session_key: str | None) -> str:
    """Return what stands for a session's key."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()
