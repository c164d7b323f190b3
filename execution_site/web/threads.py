"""Django on threads: a whole request in, a whole answer out.

The body has been read and the answer is small, so a request crosses between the event loop and its
thread once each way, not once for every message.
"""

import asyncio
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from a2wsgi.wsgi import build_environ

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")
MOST = 1_000  # requests that run or wait


@dataclass
class Answer:
    """A whole answer."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""


class Threads:
    """Runs a WSGI application, and what belongs to its requests, on threads of its own."""

    def __init__(
        self, wsgi: Callable[..., Iterable[bytes]], workers: int, *, most: int = MOST
    ) -> None:
        self._wsgi = wsgi
        self._most, self._taken = most, 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="http")

    async def answer(self, scope: dict[str, Any], body: bytes) -> Answer:
        """Return what the application answers."""
        return await self.run(self._answer, scope, body)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function on one of the threads."""
        loop = asyncio.get_running_loop()
        self._taken += 1
        try:
            return await loop.run_in_executor(self._pool, function, *arguments)
        finally:
            self._taken -= 1

    @property
    def is_full(self) -> bool:
        """Tell whether as many requests are taken as may be, those that wait included."""
        return self._taken >= self._most

    def _answer(self, scope: dict[str, Any], body: bytes) -> Answer:
        answer = Answer()

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            answer.status = int(status[:3])
            answer.headers = [
                (name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers
            ]

        parts = self._wsgi(build_environ(scope, io.BytesIO(body)), start)  # type: ignore[arg-type]
        try:
            answer.body = b"".join(parts)
        finally:
            if close := getattr(parts, "close", None):
                close()
        return answer
