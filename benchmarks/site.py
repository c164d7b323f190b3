"""The roles of a site, and the floors' servers, beside the benchmark's own services."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from execution_site.processes.embedded.runtime import free_port

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
READY_SECONDS = 60.0


@contextmanager
def process(command: Sequence[object], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process while the context lasts."""
    running = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def web() -> Iterator[int]:
    """Serve the site's web role; yield its port."""
    port = free_port()
    with process([sys.executable, "manage.py", "run_web"], PORT=str(port)):
        _wait(port, "/healthz")
        yield port


@contextmanager
def floor() -> Iterator[tuple[int, str]]:
    """Serve the floor as gunicorn does with eight threads; yield its port and a token."""
    port, token = free_port(), floor_token()
    command = [BIN / "gunicorn", "benchmarks.floor_site:application", "-k", "gthread"]
    with process([*command, "--threads", "8", "-w", "1", "-b", f"127.0.0.1:{port}"]):
        _wait(port, "/")
        yield port, token


@cache
def floor_token() -> str:
    """Return the floor's token, making its tables first."""
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor_site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


@contextmanager
def role(name: str) -> Iterator[None]:
    """Run one of the site's roles."""
    with process([sys.executable, "manage.py", f"run_{name}"]):
        yield


def post(
    port: int,
    authorization: str,
    *,
    connections: int,
    seconds: float,
    account: str = "",
    prefer: str = "",
) -> dict[str, Any]:
    """Post signals for so many seconds; return count, p50 and answers."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.http_load", "--port", str(port)),
            *("--authorization", authorization, "--connections", str(connections)),
            *("--seconds", str(seconds), "--account", account, "--prefer", prefer),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _wait(port: int, path: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}")
