"""The demo's users have passwords that everybody knows: where they may be, and how they go."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from execution_site.demo.seed import STRATEGY_CLIENT, USERS, key_file
from execution_site.floor import audit
from orders.models import ApiKey


def present() -> list[str]:
    """Return the names of those who can still sign in with the demo's passwords."""
    users = User.objects.filter(username__in=USERS, is_active=True).order_by("username")
    return [user.username for user in users if user.check_password(USERS[user.username])]


def remove(*, actor: str, now: datetime) -> list[str]:
    """End the demo's users, with their sessions and keys and that of its strategy.

    What they did stays under their names.
    """
    with transaction.atomic(durable=True):
        names = present()
        for user in User.objects.filter(username__in=names):
            user.set_unusable_password()  # which ends its sessions
            user.is_active = user.is_staff = user.is_superuser = False
            user.save()
            user.groups.clear()
            user.user_permissions.clear()
        theirs = Q(client__name=STRATEGY_CLIENT) | Q(client__user__username__in=names)
        keys = ApiKey.objects.filter(theirs, revoked_at=None).update(revoked_at=now)
        audit.record(
            "remove_demo_users",
            actor=actor,
            reason="the demo is over",
            at=now,
            before=names,
            after={"keys_revoked": keys},
        )
    key_file().unlink(missing_ok=True)
    return names
