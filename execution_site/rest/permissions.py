"""Who may do what: the one table of rights, which REST, pages, console and sockets ask alike.

A person holds a right by a permission of Django's, a key by its scope. What a right reaches is
bounded by accounts: what concerns an account of one's own needs the right alone, what concerns
everything needs INSTALLATION beside it. What is not in these tables, or in the console's
(execution_site/console/table_rights.py), is refused. What is `proved` takes of a person, in a
browser, a password or code that they gave within the last minutes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rest_framework import exceptions
from rest_framework.permissions import BasePermission

from execution_site.rest.http import Problem

API = "api/v1/"


class Right(StrEnum):
    """What one may do."""

    READ = "read"
    TRADE = "trade"
    APPROVE = "approve"
    KILL = "kill"
    RESET_BREAKER = "reset_breaker"
    RELEASE_KILL = "release_kill"
    CHANGE_MODE = "change_mode"
    INSTALLATION = "installation"


class KeyScope(StrEnum):
    """What a key may do."""

    READ = "read"
    TRADE = "trade"
    APPROVE = "approve"
    CONTROL = "control"
    RELEASE = "release"
    INSTALLATION = "installation"


@dataclass(frozen=True, slots=True)
class Need:
    """What gives a right: a key's scope, a person's permission; without one, being signed in."""

    scope: KeyScope
    permission: str = ""
    proved: bool = False


NEEDS: Mapping[Right, Need] = {
    Right.READ: Need(KeyScope.READ),
    Right.TRADE: Need(KeyScope.TRADE, "orders.add_signal"),
    Right.APPROVE: Need(KeyScope.APPROVE, "risk.approve_change"),
    Right.KILL: Need(KeyScope.CONTROL, "risk.engage_kill"),
    Right.RESET_BREAKER: Need(KeyScope.CONTROL, "risk.reset_breaker", proved=True),
    Right.RELEASE_KILL: Need(KeyScope.RELEASE, "risk.release_kill", proved=True),
    Right.CHANGE_MODE: Need(KeyScope.INSTALLATION, "risk.change_mode", proved=True),
    Right.INSTALLATION: Need(KeyScope.INSTALLATION, "risk.control_installation"),
}
PUBLIC = ()  # for everybody, signed in or not
AnyOf = Right | tuple[Right, ...]

#: Endpoints of the API: what each method needs. Accounts of one's own are all that is ever shown.
ENDPOINTS: Mapping[str, Mapping[str, AnyOf]] = {
    "signals": {"get": Right.READ, "post": Right.TRADE},
    "signals/<int:pk>": {"get": Right.READ},
    "signals/<int:pk>/approve": {"post": Right.APPROVE},
    "signals/<int:pk>/decline": {"post": Right.APPROVE},
    "groups": {"get": Right.READ, "post": Right.TRADE},
    "groups/<int:pk>": {"get": Right.READ},
    "groups/<int:pk>/exit": {"post": Right.TRADE},
    "orders": {"get": Right.READ},
    "orders/cancel-all": {"post": Right.TRADE},
    "orders/<int:pk>": {"get": Right.READ},
    "orders/<int:pk>/cancel": {"post": Right.TRADE},
    "orders/<int:pk>/modify": {"post": Right.TRADE},
    "fills": {"get": Right.READ},
    "executions": {"get": Right.READ},
    "executions/<int:pk>": {"get": Right.READ},
    "positions": {"get": Right.READ},
    "positions/flatten": {"post": Right.TRADE},
    "positions/<int:pk>": {"get": Right.READ},
    "pnl": {"get": Right.READ},
    "pnl/history": {"get": Right.READ},
    "greeks": {"get": Right.READ},
    "option-chain/<symbol:underlying>": {"get": Right.READ},
    "limits": {"get": Right.READ},
    "proposals": {"get": Right.APPROVE},
    "proposals/<int:pk>/approve": {"post": Right.APPROVE},
    "proposals/<int:pk>/decline": {"post": Right.APPROVE},
    "actions": {"get": Right.READ},
    "actions/<int:pk>": {"get": Right.READ},
    "actions/<int:pk>/withdraw": {"post": Right.TRADE},
    "instruments": {"get": Right.READ},
    "instruments/<symbol:symbol>": {"get": Right.READ},
    "bars/<symbol:symbol>": {"get": Right.READ},
    "quotes/<symbol:symbol>": {"get": Right.READ},
    "system": {"get": Right.READ},
    "system/kill-switch": {"post": (Right.KILL, Right.RELEASE_KILL)},  # as the body asks
    "system/mode": {"post": Right.CHANGE_MODE},
    "system/breakers/<int:pk>/reset": {"post": Right.RESET_BREAKER},
    "health": {"get": PUBLIC},
    "health/trading": {"get": PUBLIC},
    "openapi.json": {"get": PUBLIC},
    "docs": {"get": PUBLIC},
    "docs/": {"get": PUBLIC},
}
#: Of these what is asked for may be anything that is proved.
PROVED_ENDPOINTS = {"proposals/<int:pk>/approve"}
#: Pages and what else is served beside the API and the console.
PAGES: Mapping[str, Right | tuple[()]] = {
    "": Right.READ,
    "risk/": Right.READ,
    "risk/state": Right.READ,
    "approvals/": Right.READ,
    "approvals/state": Right.READ,
    "confirm/": Right.READ,
    "second-factor/": Right.READ,
    "sign-ins/": Right.READ,
    "login/": PUBLIC,
    "logout/": PUBLIC,
    "healthz": PUBLIC,
    "readyz": PUBLIC,
}
SOCKETS: Mapping[str, Right] = {"ws/stream": Right.READ}


def rights_of_scopes(scopes: Iterable[str]) -> frozenset[Right]:
    """Return what a key with these scopes may do."""
    given = set(scopes)
    return frozenset(right for right, need in NEEDS.items() if need.scope in given)


def rights_of(user: Any) -> frozenset[Right]:
    """Return what a person may do."""
    if not user.is_active:
        return frozenset()
    return frozenset(
        right
        for right, need in NEEDS.items()
        if not need.permission or user.has_perm(need.permission)
    )


def accounts_of(user: Any) -> frozenset[str] | None:
    """Return the accounts that a person may act in, None where it is all of them."""
    if Right.INSTALLATION in rights_of(user):
        return None
    client = getattr(user, "apiclient", None)  # what orders/models/client.py keeps of a person
    return frozenset(() if client is None else client.accounts.values_list("name", flat=True))


def may_act(user: Any, account: str | None) -> bool:
    """Tell whether a person's rights reach an account; None or "" stands for everything."""
    own = accounts_of(user)
    return own is None or (bool(account) and account in own)


class Listed(BasePermission):
    """Lets a request pass as ENDPOINTS says."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Tell whether the client may; what is refused says what it needs."""
        method = {"head": "get"}.get(name := request.method.lower(), name)
        path = request.resolver_match.route.removeprefix(API)
        needs = ENDPOINTS.get(path, {})
        if method in needs and needs[method] == PUBLIC:
            return True
        if not request.user or not request.user.is_authenticated:
            return False
        if method in needs:
            request.auth.require(needs[method])
            if path in PROVED_ENDPOINTS and request.auth.is_stale:
                raise step_up_required()
            return True
        return method == "options" or not hasattr(view, method)  # which is a 405


def require(rights: Iterable[Right], wanted: AnyOf, *, is_stale: bool = False) -> None:
    """Refuse what none of the rights cover; `is_stale`: a person's last proof is too old.

    :raises exceptions.PermissionDenied: naming what it needs
    :raises Problem: the right takes a proof
    """
    any_of = wanted if isinstance(wanted, tuple) else (wanted,)
    held = set(any_of) & set(rights)
    if held and is_stale and all(NEEDS[right].proved for right in held):
        raise step_up_required()
    if not held:
        needs = [NEEDS[right] for right in any_of]
        scopes = " or ".join(need.scope for need in needs)
        people = " or ".join(need.permission or "a sign-in" for need in needs)
        raise exceptions.PermissionDenied(f"this needs the scope {scopes} (a person: {people})")


def step_up_required() -> Problem:
    """Return the problem for a person who has to prove first who they are."""
    said = "Nothing was done. Confirm at /confirm/ that it is you, then do it again."
    return Problem(403, "step_up_required", said)


def require_reach(rights: Iterable[Right], accounts: Iterable[str], account: str | None) -> None:
    """Refuse what lies beyond the accounts that the rights reach.

    :raises exceptions.PermissionDenied: naming the account, or what everything needs
    """
    if not account:
        require(rights, Right.INSTALLATION)
    elif account not in accounts:
        raise exceptions.PermissionDenied(f"{account} is none of your accounts")
