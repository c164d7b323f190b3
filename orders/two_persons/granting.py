"""Nobody grants what they do not hold, and nobody touches their own rights or those of a stronger.

A superuser holds everything. Of others, what they hold are their permissions and their accounts.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from brokers.models import BrokerConnection
from execution_site.rest.permissions import accounts_of, rights_of, rights_of_scopes
from orders.models import ApiClient, ApiKey


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


def may_make(actor: Any, table: str, row: Any, values: Mapping[str, Any]) -> bool:
    """Tell whether a person may give a row these values: they touch it, and hold what it gives.

    `row` is None where it is new; values name related rows by their ids.
    """
    return actor.is_superuser or table not in _GIVES or _GIVES[table](actor, row, values)


def _may_make_user(actor: Any, user: Any, values: Mapping[str, Any]) -> bool:
    return (
        user is not None
        and may_touch(actor, user)
        and not values.get("is_superuser")
        and _all_of(values.get("groups"), grantable_groups(actor))
        and _all_of(values.get("user_permissions"), grantable(actor))
    )


def _may_make_group(actor: Any, group: Any, values: Mapping[str, Any]) -> bool:
    touched = group is None or may_touch_group(actor, group)
    return touched and _all_of(values.get("permissions"), grantable(actor))


def _may_make_client(actor: Any, client: Any, values: Mapping[str, Any]) -> bool:
    if client is None:
        owner = User.objects.filter(pk=values.get("owner") or values.get("user") or 0).first()
        touched = owner is not None and (owner.pk == actor.pk or may_touch(actor, owner))
    else:  # whose a client is, superusers say
        touched = may_touch_client(actor, client) and all(
            values.get(name, held) == held
            for name, held in (("owner", client.owner_id), ("user", client.user_id))
        )
    own = accounts_of(actor)
    reached = BrokerConnection.objects.all()
    return touched and _all_of(
        values.get("accounts"), reached if own is None else reached.filter(name__in=own)
    )


def _may_make_key(actor: Any, key: Any, values: Mapping[str, Any]) -> bool:
    return (
        key is not None
        and may_touch_key(actor, key)
        and rights_of_scopes(values.get("scopes", key.scopes)) <= rights_of(actor)
    )


_GIVES: Mapping[str, Callable[[Any, Any, Mapping[str, Any]], bool]] = {
    "auth.user": _may_make_user,
    "auth.group": _may_make_group,
    "orders.apiclient": _may_make_client,
    "orders.apikey": _may_make_key,
}


def _all_of(ids: Any, offered: QuerySet[Any]) -> bool:
    return not set(ids or ()) - set(offered.values_list("pk", flat=True))


def _within(theirs: frozenset[str] | None, own: frozenset[str] | None) -> bool:
    """Tell whether accounts lie within others; None is every account."""
    return own is None or (theirs is not None and theirs <= own)
