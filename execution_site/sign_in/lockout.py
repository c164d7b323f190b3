"""A name is locked after wrong passwords: for one address soon, from everywhere much later.

So a stranger locks a name for their own address alone. Only failures count, not what is refused
while the lock lasts: it ends by itself. What django-axes counts is kept in its table, under a mark
of the name that was typed, which may be a password in the wrong field.
"""

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import salted_hmac

from execution_site.floor import audit, locks
from execution_site.rest import http, rates

MOST_ROWS = 10_000  # beyond them those with the fewest failures are forgotten
NOWHERE = "::"  # the address of a request that has none
SALT = "execution_site.lockout"

logger = logging.getLogger(__name__)


class Failures(NamedTuple):
    """Wrong passwords for one name from one address, not older than a lock lasts."""

    address: str
    times: int
    last_at: datetime


class Handler(AxesDatabaseHandler):
    """What django-axes asks and tells. `manage.py axes_reset_username` ends a lock."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Tell whether a name is locked for this address."""
        now = timezone.now()
        return _ends_at(_recent(_mark(credentials), now), request.axes_ip_address) is not None

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **_: Any
    ) -> None:
        """Count a wrong password; where it locks the name, note it in the audit trail."""
        request.axes_credentials = credentials
        if request.axes_locked_out:
            return
        now, name = timezone.now(), str(credentials.get("username"))
        user = User.objects.filter(username=name).first()
        with transaction.atomic():
            here, everywhere = _count(_mark(credentials), request.axes_ip_address, now)
            limits = (settings.LOCKOUT_FAILURES, settings.LOCKOUT_FAILURES_ANYWHERE)
            request.axes_locked_out = here >= limits[0] or everywhere >= limits[1]
            if (here == limits[0] or everywhere == limits[1]) and _is_news(user, request):
                audit.record(
                    "sign_in_locked",
                    actor=user.get_username() if user else "unknown",
                    reason=f"{max(here, everywhere)} wrong passwords",
                    at=now,
                    before=None,
                    after={"address": request.axes_ip_address, "here": here, "all": everywhere},
                    object_id=f"auth.user:{user.pk}" if user else "",
                )
        logger.log(
            logging.ERROR if request.axes_locked_out else logging.WARNING,
            "sign-in failed: %s from %s, %d times (%d from everywhere)%s",
            user.get_username() if user else "a name that nobody has",
            request.axes_ip_address,
            here,
            everywhere,
            ", and is locked" if request.axes_locked_out else "",
        )

    def user_logged_in(self, sender: Any, request: Any, user: Any, **_: Any) -> None:
        """Forget what failed from the address that has now signed in."""
        mark = _mark({"username": user.get_username()})
        AccessAttempt.objects.filter(username=mark, ip_address=request.axes_ip_address).delete()

    def reset_attempts(self, *, username: str | None = None, **where: Any) -> int:
        """End locks: of a name, of an address, or all of them; return how many counts go."""
        mark = None if username is None else _mark({"username": username})
        ended: int = super().reset_attempts(username=mark, **where)
        return ended


def address_of(request: HttpRequest) -> str:
    """Return the address that a request is counted by: of IPv6 the subscriber's."""
    known = rates.network(request.META.get("REMOTE_ADDR", "")).partition("/")[0]
    return NOWHERE if known == "unknown" else known


def page(
    request: Any, response: HttpResponse, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Answer a sign-in that is locked: until when, in the same words whether the name exists."""
    now = timezone.now()
    ends_at = _ends_at(_recent(_mark(credentials), now), request.axes_ip_address) or now
    seconds = max(1, math.ceil((ends_at - now).total_seconds()))
    context = {"ends_at": ends_at, "minutes": math.ceil(seconds / 60)}
    locked = render(request, "registration/locked.html", context, status=429)
    locked["Retry-After"] = str(seconds)
    locked.is_own_page = True  # type: ignore[attr-defined]
    return locked


def _mark(credentials: Mapping[str, Any] | None) -> str:
    name = str((credentials or {}).get("username"))
    return salted_hmac(SALT, name, algorithm="sha256").hexdigest()


def _lasts() -> timedelta:
    return timedelta(minutes=settings.LOCKOUT_MINUTES)


def _recent(mark: str, now: datetime) -> list[Failures]:
    """Return what counts against a name, oldest first."""
    rows = AccessAttempt.objects.filter(username=mark, attempt_time__gt=now - _lasts())
    columns = ("ip_address", "failures_since_start", "attempt_time")
    return [Failures(*row) for row in rows.order_by("attempt_time").values_list(*columns)]


def _ends_at(recent: list[Failures], address: str) -> datetime | None:
    """Return when a lock ends, None where there is none; `recent` is oldest first."""
    ends = [
        row.last_at
        for row in recent
        if row.address == address and row.times >= settings.LOCKOUT_FAILURES
    ]
    total = sum(row.times for row in recent)
    for row in recent:
        if total < settings.LOCKOUT_FAILURES_ANYWHERE:
            break
        total -= row.times  # as it will be when this row is too old
        ends.append(row.last_at)
    return max(ends) + _lasts() if ends else None


def _count(mark: str, address: str, now: datetime) -> tuple[int, int]:
    """Count a failure; return how many there are from here and from everywhere."""
    locks.sign_in_failures(mark)  # of several at once each sees the ones before it
    AccessAttempt.objects.filter(attempt_time__lte=now - _lasts()).delete()
    AccessAttempt.objects.update_or_create(
        username=mark,
        ip_address=address,
        user_agent="",
        defaults={"failures_since_start": F("failures_since_start") + 1, "attempt_time": now},
        create_defaults={"failures_since_start": 1},
    )
    most_first = AccessAttempt.objects.order_by("-failures_since_start", "-attempt_time")
    beyond = most_first.values_list("pk", flat=True)[MOST_ROWS:]
    AccessAttempt.objects.filter(pk__in=list(beyond)).delete()
    recent = _recent(mark, now)
    here = sum(row.times for row in recent if row.address == address)
    return here, sum(row.times for row in recent)


def _is_news(user: User | None, request: Any) -> bool:
    """Tell whether a lock is noted: of names that nobody has, some an hour from an address."""
    if user is not None:
        return True
    try:
        rates.take(rates.unknown_names(), request.axes_ip_address)
    except http.Problem:
        return False
    return True
