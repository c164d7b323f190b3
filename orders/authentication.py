"""Who is asking: an API key's client, or a person in a browser, who is an API client too."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from brokers.models import BrokerConnection
from execution_site import statements
from orders.clients import ApiClient, ApiKey, Scope

KEYWORD = "Api-Key"
PERMISSIONS = {
    Scope.TRADE: "orders.add_signal",
    Scope.CONTROL: "risk.engage_kill",
    Scope.APPROVE: "risk.approve_change",
}

AuthenticationFailed = exceptions.AuthenticationFailed


@dataclass(frozen=True, slots=True)
class Principal:
    """The client behind a request, what it may do, and its accounts (name to row id)."""

    client: ApiClient
    scopes: frozenset[str]
    accounts: dict[str, int]
    name: str
    is_staff: bool
    is_authenticated: bool = True

    def require(self, scope: Scope) -> None:
        """Refuse what the scopes do not cover.

        :raises PermissionDenied: naming the scope
        """
        if scope.value not in self.scopes:
            raise exceptions.PermissionDenied(f"this needs the scope {scope.value}")


def principal_for_key(header: str, address: str, *, now: datetime) -> Principal:
    """Return who an Authorization header speaks for.

    :raises AuthenticationFailed: no such key, or one that no longer counts
    """
    keyword, _, text = header.partition(" ")
    prefix, _, secret = text.strip().partition(".")
    if keyword.lower() != KEYWORD.lower() or not secret:
        raise AuthenticationFailed("the header is not: Api-Key PREFIX.SECRET")
    row = statements.first(_KEY, [prefix])
    found = None if row is None else _key(row)
    if found is None or not found.accepts(secret, now=now) or not found.client.is_active:
        raise AuthenticationFailed("no such key, or it is revoked or expired")
    if found.networks and not _within(address, found.networks):
        raise AuthenticationFailed("the key is not good from this address")
    accounts = dict(row[-1] or ()) if row else {}
    return Principal(found.client, frozenset(found.scopes), accounts, found.client.name, False)


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
    scopes = {Scope.READ.value}
    scopes |= {scope.value for scope, needed in PERMISSIONS.items() if user.has_perm(needed)}
    visible = BrokerConnection.objects.all() if user.is_superuser else client.accounts.all()
    accounts = dict(visible.values_list("name", "pk"))
    return Principal(client, frozenset(scopes), accounts, user.get_username(), user.is_staff)


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
        """Return the signed-in person."""
        signed_in = super().authenticate(request)
        if signed_in is None:
            return None
        user = signed_in[0]
        return user, principal_for_user(user)


def _within(address: str, networks: list[str]) -> bool:
    try:
        ours = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ours in ipaddress.ip_network(network, strict=False) for network in networks)


def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


_KEY_COLUMNS, _CLIENT_COLUMNS = _names(ApiKey), _names(ApiClient)
#: A key with its client and its accounts: asked with every request, so it is prepared.
_KEY = f"""
SELECT {", ".join(f"k.{name}" for name in _KEY_COLUMNS)},
       {", ".join(f"c.{name}" for name in _CLIENT_COLUMNS)},
       (SELECT json_agg(json_build_array(b.name, b.id)) FROM orders_apiclient_accounts a
        JOIN brokers_brokerconnection b ON b.id = a.brokerconnection_id
        WHERE a.apiclient_id = c.id)
FROM orders_apikey k JOIN orders_apiclient c ON c.id = k.client_id WHERE k.prefix = %s
"""  # noqa: S608 our own names
