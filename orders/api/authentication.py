"""Who is asking: an API key's client, or a person in a browser, who is an API client too."""

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from brokers.models import BrokerConnection
from execution_site.floor import statements
from execution_site.floor.audit import Actor
from execution_site.rest import permissions
from execution_site.rest.permissions import AnyOf, Right
from orders.models import ApiClient, ApiKey

KEYWORD = "Api-Key"
NO_KEY = "no such key, or it is revoked or expired"

AuthenticationFailed = exceptions.AuthenticationFailed


@dataclass(frozen=True, slots=True)
class Principal:
    """The client behind a request, its rights, and its accounts (name to row id)."""

    client: ApiClient
    rights: frozenset[Right]
    accounts: dict[str, int]
    name: str
    is_staff: bool
    person: int | None
    is_authenticated: bool = True
    is_stale: bool = False  # a person whose last password or code was too long ago for some rights

    @property
    def actor(self) -> Actor:
        """Return who acts, for what takes two persons."""
        return Actor(self.name, self.person)

    def require(self, wanted: AnyOf) -> None:
        """Refuse what the rights do not cover.

        :raises PermissionDenied: naming what it needs
        """
        permissions.require(self.rights, wanted, is_stale=self.is_stale)

    def require_reach(self, account: str | None) -> None:
        """Refuse an account that is not theirs; None stands for everything.

        :raises PermissionDenied: naming it
        """
        permissions.require_reach(self.rights, self.accounts, account)

    def reaches(self, account: str | None) -> bool:
        """Tell whether an account is theirs; None stands for everything."""
        return Right.INSTALLATION in self.rights if account is None else account in self.accounts


def principal_for_key(header: str, address: str, *, now: datetime) -> Principal:
    """Return who an Authorization header speaks for.

    :raises AuthenticationFailed: no such key, or one that no longer counts
    """
    keyword, _, text = header.partition(" ")
    prefix, _, secret = text.strip().partition(".")
    if keyword.lower() != KEYWORD.lower() or not secret:
        raise AuthenticationFailed("the header is not: Api-Key PREFIX.SECRET")
    row = statements.first(_KEY, [prefix])
    if row is None:
        raise AuthenticationFailed(NO_KEY)
    found = _key(row)
    if not found.accepts(secret, now=now) or not found.client.is_active:
        raise AuthenticationFailed(NO_KEY)
    if found.networks and not _within(address, found.networks):
        raise AuthenticationFailed("the key is not good from this address")
    client, (*_, is_active, accounts) = found.client, row
    if not is_active:
        raise AuthenticationFailed("the person whose key it is, is not active")
    rights = permissions.rights_of_scopes(found.scopes)
    return Principal(client, rights, dict(accounts or ()), client.name, False, client.person_id)


def _key(row: tuple[Any, ...]) -> ApiKey:
    """Return a key with its client, of the columns of _KEY."""
    values = iter(row)
    key = ApiKey.from_db("default", _KEY_COLUMNS, [next(values) for _ in _KEY_COLUMNS])
    key.client = ApiClient.from_db(
        "default", _CLIENT_COLUMNS, [next(values) for _ in _CLIENT_COLUMNS]
    )
    return key


def principal_for_user(user: User) -> Principal:
    """Return a person as the API client they are; it is made when they first ask."""
    client = ApiClient.objects.filter(user=user).first()
    if client is None:
        client = ApiClient.objects.create(name=f"user-{user.pk}", user=user)
    own = permissions.accounts_of(user)
    visible = BrokerConnection.objects.all() if own is None else client.accounts.all()
    accounts = dict(visible.values_list("name", "pk"))
    rights = permissions.rights_of(user)
    return Principal(client, rights, accounts, user.get_username(), user.is_staff, user.pk)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key PREFIX.SECRET`."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        """Return the principal of the header, or None where there is none."""
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        address = request.META.get("REMOTE_ADDR", "")
        principal = principal_for_key(header, address, now=timezone.now())
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return KEYWORD


class BrowserAuthentication(SessionAuthentication):
    """The session of a signed-in person, with CSRF."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the signed-in person, whose sign-in the guard has looked at; else nobody."""
        signed_in = super().authenticate(request)
        sign_in = getattr(request._request, "sign_in", None)
        if signed_in is None or sign_in is None:
            return None
        user = signed_in[0]
        is_stale = not sign_in.is_fresh(now=timezone.now())
        return user, replace(principal_for_user(user), is_stale=is_stale)


def _within(address: str, networks: list[str]) -> bool:
    try:
        ours = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ours in ipaddress.ip_network(network, strict=False) for network in networks)


def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


_KEY_COLUMNS, _CLIENT_COLUMNS = _names(ApiKey), _names(ApiClient)
#: A key with its client, whether its person is active, and its accounts: asked with every request,
#: so it is prepared.
_KEY = f"""
SELECT {", ".join(f"k.{name}" for name in _KEY_COLUMNS)},
       {", ".join(f"c.{name}" for name in _CLIENT_COLUMNS)},
       coalesce(u.is_active, true),
       (SELECT json_agg(json_build_array(b.name, b.id)) FROM orders_apiclient_accounts a
        JOIN brokers_brokerconnection b ON b.id = a.brokerconnection_id
        WHERE a.apiclient_id = c.id)
FROM orders_apikey k JOIN orders_apiclient c ON c.id = k.client_id
LEFT JOIN auth_user u ON u.id = coalesce(c.owner_id, c.user_id)
WHERE k.prefix = %s
"""  # noqa: S608 our own names
