"""Who may listen: each key or session with a socket is looked at again, twice a second.

What admits a socket is what keeps it: logout, a revoked key, a client or user switched off, rights
that changed, all end it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from execution_site.rest.permissions import SOCKETS
from execution_site.sign_in import second_factor
from execution_site.sign_in.sign_ins import SignIn
from orders.api import authentication
from orders.api.authentication import AuthenticationFailed, Principal

LOOK_SECONDS = 0.4

logger = logging.getLogger(__name__)


class Identity(NamedTuple):
    """What a socket signs in with: an Authorization header or a session key, and from where."""

    authorization: str
    session_key: str
    address: str


@dataclass(eq=False, frozen=True, slots=True)
class Admitted:
    """One socket: as whom it was admitted, and how it is ended."""

    identity: Identity
    principal: Principal
    on_end: Callable[[], None]

    @property
    def rights(self) -> tuple[Any, ...]:
        """Return what it was admitted with: where any of it changes, it has to come again."""
        return _rights(self.principal)


class Admissions:
    """The sockets of this process; it runs on the event loop."""

    def __init__(self) -> None:
        self._sockets: set[Admitted] = set()
        self._clients: Counter[int] = Counter()
        self._addresses: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="admissions")

    def start(self) -> None:
        """Look at the sockets for as long as the process serves."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown(wait=False)

    def admit(self, socket: Admitted) -> bool:
        """Take a socket, unless its client or its address has as many as it may."""
        client, address = socket.principal.client.pk, socket.identity.address
        if 0 < settings.SOCKETS_PER_CLIENT <= self._clients[client]:
            return False
        if 0 < settings.SOCKETS_PER_ADDRESS <= self._addresses[address]:
            return False
        self._clients[client] += 1
        self._addresses[address] += 1
        self._sockets.add(socket)
        return True

    def leave(self, socket: Admitted) -> None:
        """Forget a socket."""
        if socket not in self._sockets:
            return
        self._sockets.discard(socket)
        self._clients -= Counter([socket.principal.client.pk])
        self._addresses -= Counter([socket.identity.address])

    async def look(self) -> None:
        """End each socket whose rights are no longer those that it was admitted with."""
        identities = {socket.identity for socket in self._sockets}
        if not identities:
            return
        loop = asyncio.get_running_loop()
        now = await loop.run_in_executor(self._thread, partial(_rights_now, identities))
        for socket in list(self._sockets):
            if socket.rights != now.get(socket.identity, socket.rights):
                self.leave(socket)
                socket.on_end()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (DatabaseError, InterfaceError) as e:  # nothing is sealed then, nor told
                logger.warning("who may listen is not known: %s", e)


def principal_of(identity: Identity) -> Principal | None:
    """Return who an identity stands for now, None where it no longer counts or may not listen."""
    principal = _known(identity)
    may_listen = principal is not None and SOCKETS["ws/stream"] in principal.rights
    return principal if may_listen else None


def _known(identity: Identity) -> Principal | None:
    if identity.authorization:
        header, address = identity.authorization, identity.address
        try:
            return authentication.principal_for_key(header, address, now=timezone.now())
        except AuthenticationFailed:
            return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(identity.session_key)
    user: Any = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    sign_in = SignIn.current(identity.session_key, user) if user.is_active else None
    if sign_in is None or second_factor.missing(sign_in, user):
        return None
    return authentication.principal_for_user(user)


def _rights_now(identities: set[Identity]) -> Mapping[Identity, tuple[Any, ...] | None]:
    close_old_connections()
    principals = {identity: principal_of(identity) for identity in identities}
    return {i: None if p is None else _rights(p) for i, p in principals.items()}


def _rights(principal: Principal) -> tuple[Any, ...]:
    return (
        principal.client.pk,
        principal.person,
        principal.rights,
        tuple(sorted(principal.accounts.items())),
        principal.is_staff,
    )


admissions = Admissions()
