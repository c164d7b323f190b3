"""What the site writes while its database is away and clients get things wrong: a line a cause."""

import os
import re
import signal
import threading
import time
from collections import Counter

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.chaos.signals import body, post_until_answered

AWAY_SECONDS = 6
READS = ("/", "/api/v1/orders", "/api/v1/system", "/api/v1/health", "/readyz", "/admin/login/")
LEVEL = re.compile(r"(WARNING|ERROR|CRITICAL) (.*)")
#: Each of a site's processes tells that a service is away, and that it is back.
LINES_A_PROCESS = 6


def bother(site, key, stop):
    """Read, submit and follow, whatever comes of it."""
    address = site.url.replace("http", "ws") + "/ws/stream"
    headers = {"Authorization": f"Api-Key {key}"}
    count = 0
    while not stop.is_set():
        count += 1
        with site.client(key, timeout=5) as client:
            for path in READS:
                try:
                    client.get(path)
                    client.post("/api/v1/signals", json=body(f"away-{count}-{path}"))
                except httpx.TransportError:
                    pass
        try:
            with connect(address, additional_headers=headers, open_timeout=5) as socket:
                socket.recv(timeout=2)
        except (OSError, TimeoutError, WebSocketException):
            pass


@pytest.fixture
def written(site):
    """Return what the site has written since, by process; it is told after a moment."""
    before = len(site.output)

    def lines():
        time.sleep(1.0)
        return [line.partition("|")[::2] for line in site.output[before:]]

    return lines


def test_a_database_that_is_away_is_a_line_a_process(site, trade_key, written):
    stop = threading.Event()
    threads = [threading.Thread(target=bother, args=[site, trade_key, stop]) for _ in range(3)]
    killed, supervisor = site.pid("postgres"), site.pid("supervisor")
    for thread in threads:
        thread.start()
    os.kill(supervisor, signal.SIGSTOP)  # else it has the database back at once
    try:
        os.kill(killed, signal.SIGKILL)
        time.sleep(AWAY_SECONDS)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    site.wait_until_back("postgres", killed=killed, seconds=90)
    with site.client(trade_key) as client:
        post_until_answered(client, body("back"))
    stop.set()
    for thread in threads:
        thread.join()

    lines = written()
    text = "\n".join(f"{name}|{line}" for name, line in lines)
    assert "Traceback" not in text, text
    told = Counter(name.strip() for name, line in lines if LEVEL.search(line))
    print(dict(told))
    assert told
    assert max(told.values()) <= LINES_A_PROCESS, text
    assert text.count("the database failed") == text.count("the database works again"), text


@pytest.mark.parametrize(
    ("method", "path", "json"),
    [
        ("GET", "/api/v1/nothing", None),
        ("GET", "/api/v1/orders/999999999", None),
        ("GET", "/api/v1/bars/NOTHING", None),
        ("PUT", "/api/v1/orders", {}),
        ("POST", "/api/v1/signals", {"signal_id": 1}),
        ("POST", "/api/v1/signals", body("refused", symbol="NOTHING")),
        ("POST", "/api/v1/system/mode", {"mode": "GUIDE"}),
        ("POST", "/admin/login/", {}),
    ],
)
def test_what_a_client_gets_wrong_is_no_warning(site, written, trade_key, method, path, json):
    with site.client(trade_key) as client:
        answer = client.request(method, path, json=json)

    told = [line for name, line in written() if name.strip() == "web" and LEVEL.search(line)]
    assert (answer.status_code // 100, told) == (4, [])
