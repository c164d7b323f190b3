"""Senders and pages in processes of their own: who kills shares no interpreter with them."""

import asyncio
import itertools
import json
import multiprocessing
import os
import queue
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import websockets

_fresh = multiprocessing.get_context("spawn")


@contextmanager
def load(site, key, strategy, *, senders):
    """Send market orders for as long as the context lasts."""
    stop = _fresh.Event()
    arguments = (site.url, key, strategy, senders, stop)
    process = _fresh.Process(target=_send_all, args=arguments, daemon=True)
    process.start()
    try:
        site.wait_for(f"SELECT count(*) > 0 FROM orders_order WHERE strategy = '{strategy}'")
        yield
    finally:
        stop.set()
        process.join()


def _send_all(url, key, strategy, senders, stop):
    numbers = itertools.count()
    threads = [
        threading.Thread(target=_send, args=(url, key, strategy, numbers, stop))
        for _ in range(senders)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(url, key, strategy, numbers, stop):
    headers = {"Authorization": f"Api-Key {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        while not stop.is_set():
            number = next(numbers)
            wanted = {"signal_id": f"{strategy}-{number}", "strategy": strategy}
            wanted |= {"symbol": "EURUSD", "action": "BUY", "quantity": "1000"}
            with suppress(httpx.TransportError):  # a web process that is killed is asked again
                client.post("/api/v1/signals", json=wanted)


class Pages:
    """Open pages: when each heard of each epoch, by the machine's monotonic clock."""

    def __init__(self, site, key, *, count):
        self.heard = [{} for _ in range(count)]
        self._told = _fresh.Queue()
        self._process = _fresh.Process(
            target=_follow_all, args=(site.url, key, count, self._told), daemon=True
        )
        self._process.start()
        self._hear_until(lambda heard: heard, seconds=60)  # each has its snapshot: it is open

    def close(self):
        self._process.terminate()
        self._process.join()

    def heard_after(self, epoch, began):
        """Return how long after `began` each page heard of an epoch."""
        self._hear_until(lambda heard: epoch in heard, seconds=5)
        return [heard[epoch] - began for heard in self.heard]

    def _hear_until(self, has_heard, *, seconds):
        deadline = time.monotonic() + seconds
        while not all(has_heard(heard) for heard in self.heard):
            assert time.monotonic() < deadline, "a page did not hear"
            with suppress(queue.Empty):
                page, told, at = self._told.get(timeout=0.1)
                self.heard[page].setdefault(told, at)


def _follow_all(url, key, count, told):
    """Follow with so many pages: on machines of their own they would not wait for this one's."""
    with suppress(PermissionError):
        os.nice(-10)

    async def follow():
        await asyncio.gather(*(_page(url, key, number, told) for number in range(count)))

    asyncio.run(follow())


async def _page(url, key, number, told):
    address = url.replace("http", "ws") + "/ws/stream"
    headers = {"Authorization": f"Api-Key {key}"}
    after = ""
    while True:  # a page that is cut off resumes where it was
        with suppress(websockets.WebSocketException, OSError):
            async with websockets.connect(
                address + after, additional_headers=headers, max_size=None, close_timeout=1
            ) as socket:
                async for text in socket:
                    frame = json.loads(text)
                    after = f"?after={frame['seq']}" if "seq" in frame else after
                    if frame["type"] == "system":
                        told.put((number, frame["data"]["epoch"], time.monotonic()))
                    elif frame["type"] == "snapshot":  # begun anew: it shows the switches
                        shown = frame.get("data", frame)["system"]["epoch"]
                        told.put((number, shown, time.monotonic()))
