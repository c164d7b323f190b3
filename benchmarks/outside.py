"""`python -m benchmarks.outside --url URL --key KEY --rude-key KEY`: beside rude clients; JSON.

Beside 500 half-open requests, 400 sockets of one key and 16 readers of pages of 1,000 rows, another
client's signals and kills are timed. The keys: one that trades and controls, one that is rude.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import websockets

SLOW, SOCKETS, READERS, SENDERS = 500, 400, 16, 4
ROWS = 1_000
PAUSE_SECONDS = 0.1
ENDS_WITHIN_SECONDS = 20.0

Rude = Callable[["Site"], Any]


class Site:
    """A running site, as one polite client and one rude one see it."""

    def __init__(self, url: str, key: str, rude_key: str) -> None:
        self.url, self.address = url, urlsplit(url)
        self.headers = {"Authorization": f"Api-Key {key}"}
        self.rude = {"Authorization": f"Api-Key {rude_key}"}
        self.run = f"{time.time():.0f}"
        self.numbers = iter(range(10**9))

    def signal(self, action: str) -> dict[str, Any]:
        """Return a signal that nobody has sent."""
        said = {"signal_id": f"{self.run}-{next(self.numbers)}", "strategy": "outside"}
        sized = {"quantity": "1000"} if action == "BUY" else {}
        return said | {"account": "paper", "symbol": "EURUSD", "action": action} | sized


async def measure(site: Site, rude: Rude, seconds: float) -> dict[str, Any]:
    """Return what signals and kills take beside rude clients, in milliseconds."""
    async with AsyncExitStack() as stack:
        said = await stack.enter_async_context(rude(site))
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=site.url, headers=site.headers, timeout=60, limits=limits)
        )
        ends = time.monotonic() + seconds
        senders = [_send(client, site, ends) for _ in range(SENDERS)]
        *signals, kills = await asyncio.gather(*senders, _kill(client, ends))
    others = {"signals": _spread([ms for sent in signals for ms in sent]), "kills": _spread(kills)}
    return others | (said or {})


async def _send(client: httpx.AsyncClient, site: Site, ends: float) -> list[float]:
    taken = []
    while time.monotonic() < ends:
        began = time.perf_counter()
        answer = await client.post("/api/v1/signals", json=site.signal("BUY"))
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code not in {202, 422}:
            raise RuntimeError(answer.text)
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def _kill(client: httpx.AsyncClient, ends: float) -> list[float]:
    taken = []
    scope = {"scope": {"strategy": "nobody"}, "allow_unknown": True, "reason": "measured"}
    while time.monotonic() < ends:
        began = time.perf_counter()
        body = {**scope, "active": True, "level": "HALTED", "cancel_open": False}
        answer = await client.post("/api/v1/system/kill-switch", json=body)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        await asyncio.sleep(5 * PAUSE_SECONDS)
    return taken


def _spread(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"count": len(taken), "p50": round(statistics.median(taken), 1), "p99": round(p99, 1)}


@asynccontextmanager
async def nobody(site: Site) -> AsyncIterator[None]:
    """Be polite."""
    yield


@asynccontextmanager
async def slow_clients(site: Site) -> AsyncIterator[dict[str, Any]]:
    """Begin requests and end none; say afterwards how many the site has ended."""
    host, port = site.address.hostname, site.address.port
    links = [await asyncio.open_connection(host, port) for _ in range(SLOW)]
    for _, writer in links:
        writer.write(b"POST /api/v1/signals HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n")
    said: dict[str, Any] = {}
    began = time.monotonic()
    reading = [asyncio.create_task(reader.read()) for reader, _ in links]
    yield said
    await asyncio.wait(reading, timeout=max(0.1, ENDS_WITHIN_SECONDS - time.monotonic() + began))
    said["ended"] = sum(task.done() for task in reading)
    for task in reading:
        task.cancel()
    for _, writer in links:
        writer.close()


@asynccontextmanager
async def sockets(site: Site) -> AsyncIterator[dict[str, Any]]:
    """Open sockets of one key, and read them."""
    address = site.url.replace("http", "ws", 1) + "/ws/stream"
    async with AsyncExitStack() as stack:
        opening = [
            websockets.connect(address, additional_headers=site.rude, open_timeout=60)
            for _ in range(SOCKETS)
        ]
        links = await asyncio.gather(*map(stack.enter_async_context, opening))
        reading = [asyncio.create_task(_read(link)) for link in links]
        await asyncio.sleep(1)
        yield {"open": sum(not task.done() for task in reading)}
        for task in reading:
            task.cancel()


async def _read(link: Any) -> None:
    try:
        async for _ in link:
            pass
    except websockets.ConnectionClosed:
        pass


@asynccontextmanager
async def greedy_readers(site: Site) -> AsyncIterator[dict[str, Any]]:
    """Read long pages without a pause, from many connections of one key."""
    said = {"pages": 0, "refused": 0}

    async def read(client: httpx.AsyncClient) -> None:
        while True:
            answer = await client.get(f"/api/v1/signals?limit={ROWS}")
            said["pages" if answer.status_code == 200 else "refused"] += 1
            if wait := answer.headers.get("Retry-After"):
                await asyncio.sleep(float(wait))

    async with httpx.AsyncClient(base_url=site.url, headers=site.rude, timeout=60) as client:
        reading = [asyncio.create_task(read(client)) for _ in range(READERS)]
        yield said
        for task in reading:
            task.cancel()


RUDE: dict[str, Rude] = {
    "quiet": nobody,
    f"{SLOW} slow clients": slow_clients,
    f"{SOCKETS} sockets of a key": sockets,
    f"{READERS} greedy readers": greedy_readers,
}


async def fill(site: Site) -> None:
    """Record as many signals as a long page has."""
    async with httpx.AsyncClient(base_url=site.url, headers=site.headers, timeout=60) as client:

        async def send(share: int) -> None:
            for _ in range(share):
                await client.post("/api/v1/signals", json=site.signal("HOLD"))

        await asyncio.gather(*(send(ROWS // 8) for _ in range(8)))


def main() -> None:
    """Measure each kind of rudeness for so many seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True, help="scopes read, trade, control, installation")
    parser.add_argument("--rude-key", required=True, help="reads")
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    site = Site(asked.url, asked.key, asked.rude_key)
    asyncio.run(fill(site))
    for name, rude in RUDE.items():
        print(json.dumps({name: asyncio.run(measure(site, rude, asked.seconds))}), flush=True)


if __name__ == "__main__":
    main()
