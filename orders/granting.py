"""Nobody grants what they do not hold, and nobody touches their own rights or those of a stronger.

A superuser holds everything. Of others, what they hold are their permissions and their accounts.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from execution_site.permissions import accounts_of, rights_of, rights_of_scopes
from orders.clients import ApiClient, ApiKey


def may_touch(actor: Any, other: User) -> bool:
    """Tell whether a person may change another's name, password, rights and groups."""
    if actor.is_superuser:
        return True
    if actor.pk == other.pk or other.is_superuser:
        return False
    held = User.objects.get(pk=other.pk)
    held.is_active = True  # who is not, may be again: what counts is what they would hold
    return held.get_all_permissions() <= actor.get_all_permissions() and _within(
        accounts_of(held), accounts_of(actor)
    )


def may_touch_group(actor: Any, group: Group) -> bool:
    """Tell whether a person may change a group: none of their own, nor one that holds more."""
    if actor.is_superuser:
        return True
    beyond = group.permissions.exclude(pk__in=grantable(actor))
    return not beyond.exists() and not group.user_set.filter(pk=actor.pk).exists()


def may_touch_client(actor: Any, client: ApiClient) -> bool:
    """Tell whether a person may change a client: of theirs or a weaker's, in their accounts."""
    if actor.is_superuser:
        return True
    if client.person_id is None:
        return False
    person = User.objects.get(pk=client.person_id)
    own = client.person_id == actor.pk or may_touch(actor, person)
    names = frozenset(client.accounts.values_list("name", flat=True))
    return own and _within(names, accounts_of(actor))


def may_touch_key(actor: Any, key: ApiKey) -> bool:
    """Tell whether a person may change a key: it does nothing that they may not do."""
    return may_touch_client(actor, key.client) and (
        actor.is_superuser or rights_of_scopes(key.scopes) <= rights_of(actor)
    )


def grantable(actor: Any) -> QuerySet[Permission]:
    """Return the permissions that a person may give: those they hold."""
    if actor.is_superuser:
        return Permission.objects.all()
    held = Permission.objects.filter(Q(user=actor) | Q(group__user=actor))
    return Permission.objects.filter(pk__in=held)


def grantable_groups(actor: Any) -> QuerySet[Group]:
    """Return the groups that a person may put others into: those that hold nothing more."""
    if actor.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=grantable(actor))
    return Group.objects.exclude(permissions__in=beyond)


def _within(theirs: frozenset[str] | None, own: frozenset[str] | None) -> bool:
    """Tell whether accounts lie within others; None is every account."""
    return own is None or (theirs is not None and theirs <= own)
