"""`python -m benchmarks.push_clients`: sockets that count; prints `ready`, then JSON.

It counts a mark in what arrives, without decoding, so that the cores are the server's.
"""

import argparse
import asyncio
import contextlib
import json
import time

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
MARK = b"bench-mark"


class Socket(asyncio.Protocol):
    """Counts marks, split ones included."""

    def __init__(self, hello: bytes, tally: "Tally") -> None:
        self.hello, self.tally, self.tail, self.open = hello, tally, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        if isinstance(transport, asyncio.Transport):
            transport.write(self.hello)

    def data_received(self, data: bytes) -> None:
        """Count."""
        seen = self.tail + data
        if not self.open and self.tally.greeting in seen:
            self.open = True
            self.tally.open += 1
        self.tally.add(seen.count(MARK))
        cut = seen.rfind(MARK)
        rest = seen[cut + len(MARK) :] if cut >= 0 else seen
        self.tail = rest[-(len(MARK) - 1) :]


class Tally:
    """What all sockets have got together."""

    def __init__(self, expected: int, greeting: str) -> None:
        self.open = self.count = 0
        self.expected, self.greeting = expected, greeting.encode()
        self.first = self.last = 0.0
        self.done = asyncio.Event()

    def add(self, count: int) -> None:
        """Add, and note when."""
        if not count:
            return
        self.last = time.time()
        self.first = self.first or self.last
        self.count += count
        if self.count >= self.expected:
            self.done.set()


async def main() -> None:
    """Open all, wait for what is expected."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/")
    parser.add_argument("--authorization", default="")
    parser.add_argument("--sockets", type=int, required=True)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--greeting", default="hello", help="what a socket is told first")
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    more = f"Authorization: {asked.authorization}\r\n" if asked.authorization else ""
    hello = HANDSHAKE.format(path=asked.path, more=more).encode()
    tally = Tally(asked.sockets * asked.messages, asked.greeting)
    loop = asyncio.get_running_loop()
    links = []
    for opened in range(asked.sockets):
        made = await loop.create_connection(lambda: Socket(hello, tally), "127.0.0.1", asked.port)
        links.append(made)
        while opened - tally.open > 50:  # noqa: ASYNC110 the server's backlog is finite
            await asyncio.sleep(0.005)
    while tally.open < asked.sockets:  # noqa: ASYNC110 no event for the last one
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    print("ready", flush=True)
    with contextlib.suppress(TimeoutError):  # what is missing is told
        await asyncio.wait_for(tally.done.wait(), asked.seconds)
    said = {"count": tally.count, "first": tally.first, "last": tally.last}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
