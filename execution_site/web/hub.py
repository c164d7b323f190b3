"""One hub per web process: it follows the sealed events once and fans them out to its sockets.

Events reach it by Redis; whatever Redis loses, it reads from the table. Each socket has a bounded
queue of its own, so a slow one holds up nobody; one that overflows is closed and resumes.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from execution_site.floor import bus, outages, statements
from execution_site.floor.events import EventType

POLL_SECONDS = 0.5
LATEST_SECONDS = 0.25
RETRY_SECONDS = 1.0
PAGE = 1_000
QUEUE = 1_000
REMEMBERED = 10_000  # ended orders: who waits for one hears of it even if it ended a moment before
RESUME_HOURS = 24
STAFF_ONLY = {EventType.AUDIT.value}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sealed:
    """A durable event."""

    seq: int
    type: str
    account: str
    at: str
    data: Any

    @cached_property
    def tail(self) -> str:
        """Return its JSON after the opening brace, made once for all sockets that want it."""
        frame = {"type": self.type, "seq": self.seq, "at": self.at, "data": self.data}
        return json.dumps(frame)[1:]

    def text(self, prev: int) -> str:
        """Return the frame for a socket whose last durable frame was `prev`."""
        return f'{{"prev":{prev},{self.tail}'


@dataclass(eq=False, slots=True)
class Subscriber:
    """One socket's share: what it may see, its queue, its latest values."""

    accounts: frozenset[str]
    is_staff: bool
    on_overflow: Callable[[], None]
    queue: "asyncio.Queue[Sealed]" = field(default_factory=lambda: asyncio.Queue(QUEUE))
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sees(self, type: str, account: str) -> bool:
        """Tell whether an event concerns this socket."""
        if type in STAFF_ONLY:
            return self.is_staff
        return not account or account in self.accounts


class Hub:
    """Follows the stream; runs on the event loop of its process."""

    def __init__(self) -> None:
        self.head = 0
        self._subscribers: set[Subscriber] = set()
        self._watchers: dict[int, set[asyncio.Event]] = {}
        self._ended: dict[int, None] = {}  # the newest, oldest first
        self._tasks: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="hub")
        self._advancing = asyncio.Lock()

    async def start(self) -> None:
        """Begin to follow from the head of now, before the first socket is served."""
        while True:
            try:
                self.head = await self.read(newest_seq)
                break
            except (DatabaseError, InterfaceError) as e:
                logger.warning("the event log is away: %s", e)
                await asyncio.sleep(RETRY_SECONDS)
        self._tasks = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._poll()),
        ]

    async def stop(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._threads.shutdown(wait=False)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Begin to fill a socket's queue."""
        self._subscribers.add(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop filling it."""
        self._subscribers.discard(subscriber)

    async def read(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a database read on a thread of the hub's own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(_fresh, function, *args))

    async def order_ends(self, order_id: int, *, seconds: float) -> None:
        """Return when an order's terminal event has passed, or after the seconds."""
        event = asyncio.Event()
        self._watchers.setdefault(order_id, set()).add(event)
        try:
            if order_id not in self._ended:
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), seconds)
        finally:
            self._watchers[order_id].discard(event)
            if not self._watchers[order_id]:
                del self._watchers[order_id]

    async def _listen(self) -> None:
        """Take sealed events and latest values from Redis, for as long as there is one."""
        while True:
            client = redis.asyncio.Redis.from_url(settings.REDIS_SECRET_URL)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as messages:
                    await messages.subscribe(bus.STREAM, bus.LATEST)
                    outages.services.end(outages.REDIS)
                    async for message in messages.listen():
                        await self._hear(message["channel"].decode(), json.loads(message["data"]))
            except (redis.RedisError, OSError, DatabaseError, InterfaceError) as e:
                logger.warning("the stream's notifications are away: %s", e)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                with suppress(redis.RedisError, OSError):
                    await client.aclose()

    async def _hear(self, channel: str, message: Any) -> None:
        if channel == bus.LATEST:
            self._latest(message)
        elif "events" in message and message["from"] == self.head + 1:
            async with self._advancing:
                if message["from"] == self.head + 1:
                    self._fan_out(Sealed(**event) for event in message["events"])
        elif message["to"] > self.head:
            await self._catch_up()

    async def _poll(self) -> None:
        """Read what Redis did not deliver."""
        while True:
            try:
                await self._catch_up()
            except (DatabaseError, InterfaceError) as e:
                logger.warning("the event log is away: %s", e)
            await asyncio.sleep(POLL_SECONDS)

    async def _catch_up(self) -> None:
        async with self._advancing:
            while events := await self.read(events_after, self.head):
                self._fan_out(events)

    def _fan_out(self, events: Iterable[Sealed]) -> None:
        for event in events:
            if event.seq != self.head + 1:
                return  # a gap: the table is asked
            self.head = event.seq
            self._notify_watchers(event)
            for subscriber in list(self._subscribers):
                if not subscriber.sees(event.type, event.account):
                    continue
                try:
                    subscriber.queue.put_nowait(event)
                except asyncio.QueueFull:
                    self.unsubscribe(subscriber)
                    subscriber.on_overflow()

    def _notify_watchers(self, event: Sealed) -> None:
        """Notify who waits for an order that it has ended; remember it for who comes just after."""
        if event.type != EventType.ORDER.value or event.data.get("status") not in ENDED:
            return
        order_id = event.data["id"]
        self._ended[order_id] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        for watcher in self._watchers.get(order_id, ()):
            watcher.set()

    def _latest(self, frames: list[dict[str, Any]]) -> None:
        """Keep the newest value of each thing for each socket that may see it."""
        for frame in frames:
            account = frame.pop("account", "")
            data = frame["data"]
            key = f"{frame['type']}:{data.get('id') or data.get('symbol') or data.get('name')}"
            for subscriber in self._subscribers:
                if subscriber.sees(frame["type"], account):
                    subscriber.latest[key] = frame


ENDED = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED", "FAILED"}
hub = Hub()


def newest_seq() -> int:
    """Return the head of the stream."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(seq), 0) FROM execution_site_seal")
        return int(cursor.fetchone()[0])


def events_after(seq: int) -> list[Sealed]:
    """Return the next page of sealed events."""
    with connection.cursor() as cursor:
        cursor.execute(_AFTER, [seq, PAGE])
        rows = cursor.fetchall()
    return [
        Sealed(seq, kind, account, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), data)
        for seq, kind, account, at, data in rows
    ]


def resumable(after: int, *, now: datetime) -> bool:
    """Tell whether a client that has seen `after` can go on from there."""
    if after == newest_seq():
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_at FROM execution_site_seal WHERE seq = %s", [after])
        row = cursor.fetchone()
    return row is not None and now - row[0] < timedelta(hours=RESUME_HOURS)


def snapshot_with_seq(take: Callable[..., Any], *args: Any) -> tuple[int, Any]:
    """Return the head and a snapshot of one instant: an event may repeat it, none is missing.

    What it shows is on disk when this returns; so are the events, which a seal follows there.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        taken = newest_seq(), take(*args)
    statements.flush_seen()
    return taken


def _fresh(function: Callable[..., Any], *args: Any) -> Any:
    close_old_connections()
    return function(*args)


_AFTER = """
SELECT s.seq, e.type, e.account, e.at, e.data::text::json
FROM execution_site_seal s JOIN execution_site_event e ON e.id = s.event_id
WHERE s.seq > %s ORDER BY s.seq LIMIT %s
"""
