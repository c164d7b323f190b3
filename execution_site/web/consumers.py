"""`/ws/stream`: one client's events, in order and without gaps; what a client sends is ignored."""

import asyncio
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http.request import validate_host
from uvicorn.protocols.utils import ClientDisconnected

from execution_site.rest import error_pages, http
from execution_site.web import admissions
from execution_site.web import hub as stream
from execution_site.web.admissions import Admitted, Identity
from execution_site.web.bounded_sockets import TOO_MANY
from execution_site.web.hub import Sealed, Subscriber, hub
from orders.reports import selectors

HEARTBEAT_SECONDS = 1.0
BAD_REQUEST, FORBIDDEN, NOT_FOUND, OVERFLOWED, INTERNAL_ERROR = 4400, 4403, 4404, 4408, 1011
SEQ = re.compile(r"[0-9]{1,18}")

logger = logging.getLogger(__name__)


class StreamConsumer(AsyncWebsocketConsumer):
    """Sends a snapshot or what was missed, then every event as it is sealed."""

    subscriber: Subscriber | None = None
    pump: "asyncio.Task[None] | None" = None
    leaving: "asyncio.Task[None] | None" = None
    admitted: Admitted | None = None

    async def connect(self) -> None:
        """Admit the client; subscribe before reading, so that nothing falls between."""
        identity = _identity(self.scope)
        principal = await hub.read(admissions.principal_of, identity) if identity else None
        if identity is None or principal is None:
            await self.close(FORBIDDEN)
            return
        await self.accept()
        loop = asyncio.get_running_loop()
        admitted = Admitted(identity, principal, on_end=lambda: self._end(loop, FORBIDDEN))
        if not admissions.admissions.admit(admitted):
            await self.close(TOO_MANY)
            return
        self.admitted = admitted
        try:
            after = _after(self.scope)
        except ValueError:
            await self.close(BAD_REQUEST)
            return
        self.principal = principal
        self.subscriber = Subscriber(
            frozenset(principal.accounts),
            principal.is_staff,
            on_overflow=lambda: self._end(loop, OVERFLOWED),
        )
        hub.subscribe(self.subscriber)
        self.pump = asyncio.create_task(self._follow(after))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what is said; how much may be is bounded before it (bounded_sockets.py)."""

    async def disconnect(self, code: int) -> None:
        """Forget the client."""
        if self.admitted is not None:
            admissions.admissions.leave(self.admitted)
        if self.subscriber is not None:
            hub.unsubscribe(self.subscriber)
        if self.pump is not None and self.pump is not asyncio.current_task():
            self.pump.cancel()

    def _end(self, loop: asyncio.AbstractEventLoop, code: int) -> None:
        """End a socket that cannot keep up, and resumes, or whose client may no longer listen."""
        self.leaving = loop.create_task(self._leave(code))

    async def _leave(self, code: int) -> None:
        if self.pump is not None:
            self.pump.cancel()
        await self.close(code)

    async def _follow(self, after: int | None) -> None:
        """Send the client everything; a socket that fails is closed: its client connects again."""
        try:
            await self._run(after)
        except ClientDisconnected:
            return
        except Exception:  # the outermost frame of a socket: a silent one would be believed
            logger.exception("a socket is closed: sending to it failed")
            await self.close(INTERNAL_ERROR)

    async def _run(self, after: int | None) -> None:
        """Bring the client up to date, then forward; a heartbeat each second shows the last seq."""
        last = await self._catch_up(after)
        loop = asyncio.get_running_loop()
        beat = loop.time()
        pushed = beat
        subscriber = self.subscriber
        if subscriber is None:
            return
        while True:
            try:
                event = await asyncio.wait_for(subscriber.queue.get(), stream.LATEST_SECONDS)
                last = await self._forward(event, last)
                while not subscriber.queue.empty():
                    last = await self._forward(subscriber.queue.get_nowait(), last)
            except TimeoutError:
                pass
            now = loop.time()
            if now - pushed >= stream.LATEST_SECONDS and subscriber.latest:
                pushed = now
                values, subscriber.latest = subscriber.latest, {}
                for frame in values.values():
                    await self.send(json.dumps(frame))
            if now - beat >= HEARTBEAT_SECONDS:
                beat = now
                await self.send(
                    json.dumps({"type": "heartbeat", "seq": last, "at": _now().isoformat()})
                )

    async def _forward(self, event: Sealed, last: int) -> int:
        if event.seq <= last:
            return last  # the client has it already
        await self.send(event.text(last))
        return event.seq

    async def _catch_up(self, after: int | None) -> int:
        """Send a snapshot, or every event since `after`; return the last seq sent."""
        if after is not None and await hub.read(_resumable, after):
            return await self._replay(after)
        if after is not None:
            await self.send(json.dumps({"type": "resync"}))
        accounts = sorted(self.principal.accounts)
        seq, data = await hub.read(stream.snapshot_with_seq, selectors.snapshot, accounts)
        await self.send(json.dumps({"type": "snapshot", "seq": seq, "data": data}))
        return int(seq)

    async def _replay(self, after: int) -> int:
        last = cursor = after
        subscriber = self.subscriber
        while subscriber and (events := await hub.read(stream.events_after, cursor)):
            for event in events:
                cursor = event.seq
                if subscriber.sees(event.type, event.account):
                    last = await self._forward(event, last)
        return last


async def refuse_socket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a socket at an address that leads nowhere: 404, or a close where that is all."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": NOT_FOUND})
        return
    document = http.body(404, *error_pages.REFUSALS[404])
    headers = [(b"content-type", http.CONTENT_TYPE.encode())]
    await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": json.dumps(document).encode()})


def _now() -> datetime:
    return datetime.now(UTC)


def _resumable(after: int) -> bool:
    return stream.resumable(after, now=_now())


def _after(scope: dict[str, Any]) -> int | None:
    """Return the seq that the client has seen, or None where it begins anew.

    :raises ValueError: it asks for anything else
    """
    asked = parse_qs(scope["query_string"].decode("latin1"), keep_blank_values=True)
    match list(asked.items()):
        case []:
            return None
        case [("after", [text])] if SEQ.fullmatch(text):
            return int(text)
    raise ValueError("no `after`, or the seq of a frame")


def _identity(scope: dict[str, Any]) -> Identity | None:
    """Return what a socket signs in with: an API key, or a session from our own pages."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    address = (scope.get("client") or ("", 0))[0]
    if key := headers.get(b"authorization"):
        return Identity(key.decode("latin1"), "", address)
    session = scope["session"].session_key
    return Identity("", session, address) if session and _our_origin(headers) else None


def _our_origin(headers: dict[bytes, bytes]) -> bool:
    origin = headers.get(b"origin", b"").decode("latin1")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        named = parts.hostname is not None and validate_host(parts.hostname, _hosts())
    except (DisallowedHost, ValueError):
        return False
    return named and parts.netloc == headers.get(b"host", b"").decode("latin1")


def _hosts() -> list[str]:
    return list(settings.ALLOWED_HOSTS)
