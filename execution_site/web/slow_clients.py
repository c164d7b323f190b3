"""HTTP connections that end by themselves: a request is sent, and an answer read, within a time.

uvicorn bounds only the pause between two requests; here the request itself is bounded, how large
its head may be, how many may wait on a connection, and how many of those an address may hold.
"""

import asyncio
import json
from collections import Counter
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from execution_site.rest import http

REQUEST_SECONDS = 10.0  # for the whole request, its body included, from its first byte
ANSWER_SECONDS = 60.0  # for what we have sent and the client does not read
HEAD_BYTES, MOST_HEADERS = 64 * 1024, 256  # of a request, before its body
MOST_PIPELINED = 16  # requests that wait on one connection for the one before them


class Refused(Exception):
    """Stops the parser: the connection has been answered and ends."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own, with a deadline for each request and for each answer."""

    connections_of: Counter[str] = Counter()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request_ends: asyncio.TimerHandle | None = None
        self._answer_ends: asyncio.TimerHandle | None = None
        self._counted = ""
        self._head_bytes: int | None = None  # while a head is being read

    def connection_made(self, transport: Any) -> None:
        """Take a connection, unless its address holds as many as it may."""
        super().connection_made(transport)
        self._counted = (self.client or ("", 0))[0]
        self.connections_of[self._counted] += 1
        most = settings.CONNECTIONS_PER_ADDRESS
        if most and self.connections_of[self._counted] > most:
            self._answer(429, "too_many_connections", "This address holds too many connections.")
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget()
        self._answer_ends = _cancelled(self._answer_ends)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; the first part begins its time."""
        if self.cycle is None or self.cycle.response_complete:
            self._expect_request()
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            self._bound_head()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless it was answered why."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin the time of a request that came with the one before it."""
        if len(self.pipeline) >= MOST_PIPELINED:
            self._answer(429, "too_many_requests", "Too many requests wait on this connection.")
            raise Refused
        self._head_bytes = 0
        self._expect_request()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Read a part of the address."""
        self._read_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header."""
        self._read_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that a request is whole."""
        self._request_ends = _cancelled(self._request_ends)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the protocol of sockets, which has limits of its own."""
        self._forget()
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        if self._answer_ends is None:
            self._answer_ends = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client reads."""
        self._answer_ends = _cancelled(self._answer_ends)
        super().resume_writing()

    def _read_head(self, size: int) -> None:
        self._head_bytes = (self._head_bytes or 0) + size
        if not self._bound_head():
            raise Refused

    def _bound_head(self) -> bool:
        """Tell whether the head is small enough as yet; else answer that it is not."""
        if (self._head_bytes or 0) <= HEAD_BYTES and len(self.headers) < MOST_HEADERS:
            return True
        said = f"A request's head may have {HEAD_BYTES} bytes and {MOST_HEADERS} headers."
        self._answer(431, "head_too_large", said)
        return False

    def _expect_request(self) -> None:
        if self._request_ends is None:
            self._request_ends = self.loop.call_later(REQUEST_SECONDS, self._request_is_late)

    def _request_is_late(self) -> None:
        said = f"A request must be whole within {REQUEST_SECONDS:.0f} seconds."
        self._answer(408, "request_timeout", said)

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Answer outside every request, and end the connection whether that is read or not."""
        if self.transport.is_closing():
            return
        body = json.dumps(http.body(status, code, detail)).encode()
        head = f"HTTP/1.1 {status} {code}\r\ncontent-type: {http.CONTENT_TYPE}\r\n"
        self.transport.write(
            f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
        )
        self.transport.close()
        self.loop.call_later(1.0, self.transport.abort)

    def _forget(self) -> None:
        self._request_ends = _cancelled(self._request_ends)
        if self._counted:
            self.connections_of[self._counted] -= 1
            if not self.connections_of[self._counted]:
                del self.connections_of[self._counted]
            self._counted = ""


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer and return what takes its place: none."""
    if timer is not None:
        timer.cancel()
    return None
