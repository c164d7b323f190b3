"""A socket client, through everything: every event once, in order."""

import asyncio
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import redis
import websockets

from tests.chaos.signals import body, post_until_answered

WRITERS = 20
EACH = 15
VISIBLE = """
SELECT s.seq FROM execution_site_seal s JOIN execution_site_event e ON e.id = s.event_id
WHERE s.seq > %s AND s.seq <= %s AND e.type <> 'audit' AND e.account IN ('', 'paper') ORDER BY 1
"""


class Client:
    """Follows the stream by seq and prev, leaves now and then, and resumes."""

    def __init__(self, site, key):
        self.address = site.url.replace("http", "ws") + "/ws/stream"
        self.headers = {"Authorization": f"Api-Key {key}"}
        self.first = self.last = None
        self.seen = []
        self.resyncs = 0
        self.done = False

    async def follow(self):
        while not self.done:
            query = "" if self.last is None else f"?after={self.last}"
            try:
                async with websockets.connect(
                    self.address + query,
                    additional_headers=self.headers,
                    max_size=None,
                    max_queue=None,
                    close_timeout=1,
                ) as socket:
                    await self._read(socket, leave_after=random.randint(50, 150))
            except (OSError, websockets.WebSocketException, TimeoutError):
                await asyncio.sleep(0.2)

    async def _read(self, socket, *, leave_after):
        while not self.done and leave_after:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
            match frame["type"]:
                case "snapshot":
                    self.resyncs += self.last is not None
                    self.last = frame["seq"]
                    self.first = self.first if self.first is not None else self.last
                case "heartbeat":
                    assert frame["seq"] <= self.last
                case _ if "seq" in frame:
                    assert frame["prev"] == self.last, "a gap inside one connection"
                    self.last = frame["seq"]
                    self.seen.append(frame["seq"])
                    leave_after -= 1


def test_every_event_once_and_in_order_through_kills_flushes_and_disconnects(site, trade_key):
    follower = Client(site, trade_key)
    thread = threading.Thread(target=lambda: asyncio.run(follower.follow()))
    thread.start()
    deadline = time.monotonic() + 20
    while follower.last is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert follower.last is not None

    def write(writer):
        with site.client(trade_key) as client:
            for n in range(EACH):
                post_until_answered(client, body(f"w{writer}-{n}", strategy=f"stream-{writer}"))

    valkey = site.runtime["valkey"]
    with ThreadPoolExecutor(WRITERS) as threads:
        writing = [threads.submit(write, writer) for writer in range(WRITERS)]
        for _ in range(3):
            time.sleep(1.0)
            redis.Redis(port=valkey["port"], password=valkey["password"]).flushall()
            if site.pid("sealer"):
                site.kill("sealer")
        for one in writing:
            one.result()
    site.wait_for(
        "SELECT NOT EXISTS (SELECT 1 FROM orders_order WHERE status IN ('PENDING', 'SUBMITTING'))",
        seconds=40,
    )
    unsealed = (
        "SELECT count(*) FROM execution_site_event e WHERE NOT EXISTS"
        " (SELECT 1 FROM execution_site_seal s WHERE s.event_id = e.id)"
    )
    site.wait_for(unsealed, expected=0, seconds=40)
    head = site.sql("SELECT max(seq) FROM execution_site_seal")[0][0]
    wanted = [seq for (seq,) in site.sql(VISIBLE, [follower.first, head])]
    deadline = time.monotonic() + 20
    while follower.last < wanted[-1] and time.monotonic() < deadline:
        time.sleep(0.1)
    follower.done = True
    thread.join(20)

    assert follower.resyncs == 0
    assert [seq for seq in follower.seen if seq <= head] == wanted
    assert len(wanted) > WRITERS * EACH

    verified = site.manage("verify_audit")
    assert verified.returncode == 0, verified.stderr
