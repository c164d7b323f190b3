"""The asynchronous side of HTTP: `Prefer: wait`, body limits, and threads kept for what is urgent.

A request that waits holds no thread: WSGI answers it 202, the wait is on the hub, and then the
execution is asked for under the same authorization.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from execution_site.hub import Hub

App = Callable[
    [dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Any
]

BODY_BYTES = 1024 * 1024
MOST_SECONDS = 30
MOST_WAITING = 200
SIGNALS = "/api/v1/signals"
URGENT = re.compile(
    r"/healthz|/readyz|/api/v1/(health|system/.*|orders/(cancel-all|[0-9]+/cancel))/?"
)
WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?:$|[,;\s])")


class HttpFront:
    """Sends a request to its threads, within limits, and waits where the client prefers it."""

    def __init__(self, usual: App, urgent: App, hub: Hub) -> None:
        self.usual, self.urgent, self.hub = usual, urgent, hub
        self._waiting = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        scope["headers"] = [(n, v) for n, v in scope["headers"] if b"_" not in n]
        body = await _body(scope, receive)
        if body is None:
            await _refuse_too_large(send)
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
        app = self.urgent if URGENT.fullmatch(scope["path"]) else self.usual
        await app(scope, _replay(body, receive), send)

    async def _wait(
        self, scope: dict[str, Any], body: bytes, receive: Any, send: Any, seconds: int
    ) -> None:
        self._waiting += 1
        try:
            answer = await _ask(self.usual, scope, body)
            order = _order_of(answer)
            if order is None:
                await _relay(answer, send)
                return
            gone = asyncio.create_task(_until_gone(receive))
            ended = asyncio.create_task(self.hub.order_ends(order["id"], seconds=seconds))
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
            left = gone.done()
            for task in (gone, ended):
                task.cancel()
            if left:
                return
            confirmation = await self._confirmation(scope, order["id"])
            applied = (b"preference-applied", f"wait={seconds}".encode())
            await _relay(confirmation or answer, send, extra=[applied])
        finally:
            self._waiting -= 1

    async def _confirmation(self, scope: dict[str, Any], order_id: int) -> "Answer | None":
        """Return the execution of an order that has ended, or None while it works."""
        path = f"/api/v1/executions/{order_id}"
        asked = {**scope, "method": "GET", "path": path, "raw_path": path.encode()}
        asked["query_string"] = b""
        dropped = {b"content-length", b"content-type"}
        asked["headers"] = [(n, v) for n, v in scope["headers"] if n not in dropped]
        answer = await _ask(self.usual, asked, b"")
        if answer.status != 200:
            return None
        ended = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED", "FAILED"}
        return answer if json.loads(answer.body)["status"] in ended else None


class Answer:
    """A whole answer, collected."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def take(self, message: dict[str, Any]) -> None:
        """Collect one ASGI message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def _ask(app: App, scope: dict[str, Any], body: bytes) -> Answer:
    answer = Answer()
    never = asyncio.get_running_loop().create_future()

    async def nothing_more() -> Any:
        return await never

    await app(scope, _replay(body, nothing_more), answer.take)
    return answer


async def _relay(
    answer: Answer, send: Any, extra: "list[tuple[bytes, bytes]] | None" = None
) -> None:
    headers = [*answer.headers, *(extra or [])]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
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


def _replay(body: bytes, receive: Any) -> Callable[[], Awaitable[Any]]:
    told = False

    async def replay() -> Any:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse_too_large(send: Any) -> None:
    body = json.dumps(
        {
            "type": "/problems/too-large",
            "title": "Body too large",
            "status": 413,
            "detail": f"A body may have {BODY_BYTES} bytes.",
            "code": "too_large",
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
