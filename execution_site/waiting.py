"""The asynchronous side of HTTP: `Prefer: wait`, body limits, and threads kept for what is urgent.

A request that waits holds no thread: WSGI answers it 202, the wait is on the hub, and then the
execution of the order it was given is read.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from execution_site import http
from execution_site.hub import Hub
from execution_site.threads import Answer, Threads

BODY_BYTES = 1024 * 1024
MOST_SECONDS = 30
MOST_WAITING = 200
SIGNALS = "/api/v1/signals"
URGENT = re.compile(
    r"/healthz|/readyz|/api/v1/(health(/trading)?|system/.*|orders/(cancel-all|[0-9]+/cancel))/?"
)
WAIT = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,6})(?:$|[,;\s])")


class HttpFront:
    """Sends a request to its threads, within limits, and waits where the client prefers it."""

    def __init__(
        self,
        usual: Threads,
        urgent: Threads,
        hub: Hub,
        *,
        execution: Callable[[int], bytes | None],
    ) -> None:
        self.usual, self.urgent, self.hub, self.execution = usual, urgent, hub, execution
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
        threads = self.urgent if URGENT.fullmatch(scope["path"]) else self.usual
        await _send(await threads.answer(scope, body), send)

    async def _wait(
        self, scope: dict[str, Any], body: bytes, receive: Any, send: Any, seconds: int
    ) -> None:
        self._waiting += 1
        try:
            answer = await self.usual.answer(scope, body)
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
            execution = await self.usual.run(self.execution, order["id"])
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


async def _refuse_too_large(send: Any) -> None:
    detail = f"A body may have {BODY_BYTES} bytes."
    body = json.dumps(http.body(413, "too_large", detail)).encode()
    headers = [
        (b"content-type", http.CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
