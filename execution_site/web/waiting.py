"""The asynchronous side of HTTP: `Prefer: wait`, body limits, and threads kept for what is urgent.

A request that waits holds no thread: WSGI answers it 202, the wait is on the hub, and then the
execution of the order it was given is read.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from execution_site.rest import http
from execution_site.web.hub import Hub
from execution_site.web.threads import Answer, Threads

BODY_BYTES = 1024 * 1024
MOST_SECONDS = 30
MOST_WAITING = 200
SIGNALS = "/api/v1/signals"
URGENT = re.compile(
    r"/healthz|/readyz|/api/v1/(health(/trading)?|system/.*|orders/(cancel-all|[0-9]+/cancel))/?"
)
#: Pages that hash a password, which takes long on purpose.
PASSWORDS = re.compile(
    r"(/admin)?/login/|/confirm/|/admin/auth/user/add/|/admin/(.+/)?password(_change)?/"
)
GREEDY = re.compile(rb"(?:^|&)limit=[0-9]{3,}")  # pages of 100 rows and more
RETRY = ((b"retry-after", b"1"),)
WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?:$|[,;\s])")


@dataclass(frozen=True, slots=True)
class Pools:
    """The threads of each kind of request: none waits for another kind's."""

    urgent: Threads  # kills, cancels and health
    writes: Threads
    reads: Threads
    greedy: Threads  # long pages: one at a time, for they cost the processor most
    passwords: Threads  # one at a time, for hashing takes a whole processor

    def of(self, scope: dict[str, Any]) -> Threads:
        """Return the threads that answer a request."""
        if URGENT.fullmatch(scope["path"]):
            return self.urgent
        if scope["method"] not in {"GET", "HEAD"}:
            return self.passwords if PASSWORDS.fullmatch(scope["path"]) else self.writes
        return self.greedy if GREEDY.search(scope["query_string"]) else self.reads


class HttpFront:
    """Sends a request to its threads, within limits, and waits where the client prefers it."""

    def __init__(
        self,
        pools: Pools,
        hub: Hub,
        *,
        execution: Callable[[int], bytes | None],
    ) -> None:
        self.pools, self.hub, self.execution = pools, hub, execution
        self._waiting = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        scope["headers"] = [(n, v) for n, v in scope["headers"] if b"_" not in n]
        body = await _body(scope, receive)
        if body is None:
            said = f"A body may have {BODY_BYTES} bytes."
            await _refuse(send, 413, "too_large", said, (b"connection", b"close"))
            return
        headers = dict(scope["headers"])
        scope["headers"] = [
            (n, v)
            for n, v in scope["headers"]
            if n not in {b"transfer-encoding", b"content-length", b"prefer"}
        ]
        if body or scope["method"] in {"POST", "PUT", "PATCH"}:
            scope["headers"].append((b"content-length", str(len(body)).encode()))
        seconds = _seconds(headers.get(b"prefer", b"").decode("latin1"))
        waits = scope["method"] == "POST" and scope["path"].rstrip("/") == SIGNALS and seconds
        if waits and self._waiting < MOST_WAITING:
            await self._wait(scope, body, receive, send, seconds)
            return
        threads = self.pools.of(scope)
        if threads.is_full:
            await _refuse(send, 503, "busy", "Too many such requests wait: ask again.", *RETRY)
            return
        await _send(await threads.answer(scope, body), send)

    async def _wait(
        self, scope: dict[str, Any], body: bytes, receive: Any, send: Any, seconds: int
    ) -> None:
        self._waiting += 1
        try:
            answer = await self.pools.writes.answer(scope, body)
            order = _order_of(answer)
            if order is None:
                await _send(answer, send)
                return
            gone = asyncio.create_task(_until_gone(receive))
            ended = asyncio.create_task(self.hub.order_ends(order["id"], seconds=seconds))
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
            left = gone.done()
            for task in (gone, ended):
                task.cancel()
            if left:
                return
            execution = await self.pools.writes.run(self.execution, order["id"])
            if execution is not None:
                kept = [(n, v) for n, v in answer.headers if n != b"content-length"]
                length = (b"content-length", str(len(execution)).encode())
                answer = Answer(200, [*kept, length], execution)
            answer.headers.append((b"preference-applied", f"wait={seconds}".encode()))
            await _send(answer, send)
        finally:
            self._waiting -= 1


async def _send(answer: Answer, send: Any) -> None:
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})


def _order_of(answer: Answer) -> dict[str, Any] | None:
    if answer.status != 202:
        return None
    order: dict[str, Any] | None = json.loads(answer.body)["order"]
    return order


def _seconds(prefer: str) -> int:
    found = WAIT.search(prefer)
    return min(int(found[1]), MOST_SECONDS) if found else 0


async def _body(scope: dict[str, Any], receive: Any) -> bytes | None:
    """Return the whole body, or None where it is too large."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > BODY_BYTES:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(
    send: Any, status: int, code: str, detail: str, *more: tuple[bytes, bytes]
) -> None:
    body = json.dumps(http.body(status, code, detail)).encode()
    headers = [
        (b"content-type", http.CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
