"""One process of the site: started, its output prefixed, restarted when it dies."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

BACKOFF_SECONDS = (0, 1, 2, 4, 8, 16, 30)
STEADY_SECONDS = 60.0  # after this long a process counts as well again
WORKER_GRACE_SECONDS = 30.0
PR_SET_PDEATHSIG = 1
PARENT = "SUPERVISOR_PID"
SOCKET = "WEB_SOCKET"  # its number
OWNER = "DATABASE_OWNER_URL"  # for the supervisor's `prepare`, and for no role
COLORS = {"web": 36, "worker": 32, "beat": 35, "sealer": 34, "market": 33, "strategy": 90}

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


def backoff(quick_deaths: int) -> int:
    """Return how many seconds to wait after so many deaths in a row (from 1)."""
    return BACKOFF_SECONDS[min(quick_deaths, len(BACKOFF_SECONDS)) - 1]


@dataclass
class Role:
    """A process that should always run."""

    name: str
    command: str
    grace_seconds: float = 10.0
    listener: socket.socket | None = None  # what it serves on; it is kept open over restarts
    state: str = "stopped"
    restarts: int = 0
    last_exit: int | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    child: subprocess.Popen[str] | None = None
    _quick: int = 0
    _started: float = 0.0
    _due: float = 0.0

    def start(self) -> None:
        """Start it; it dies with us."""
        self.child = self._spawn()
        self._started = time.monotonic()
        self._enter("up")

    def look(self) -> bool:
        """Note a death, restart when it is time; tell whether anything changed."""
        if self.child is None:
            if self.state == "restarting" and time.monotonic() >= self._due:
                self.start()
                return True
            return False
        if (code := self.child.poll()) is None:
            return False
        lived = time.monotonic() - self._started
        self._quick = 1 if lived > STEADY_SECONDS else self._quick + 1
        self.child, self.last_exit = None, code
        self.restarts += 1
        pause = backoff(self._quick)
        self._due = time.monotonic() + pause
        self._enter("restarting")
        say(f"{self.name} ended with {code}: again in {pause} s")
        return True

    def terminate(self) -> None:
        """Ask it to stop."""
        self._enter("stopped")
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for it to stop; kill it when it does not."""
        if self.child is None:
            return
        try:
            self.last_exit = self.child.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.last_exit = self.child.wait()
        self.child = None

    @property
    def pid(self) -> int | None:
        """Return its pid while it runs."""
        return None if self.child is None else self.child.pid

    def _spawn(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        environment.pop(OWNER, None)
        passed = []
        if self.listener is not None:
            passed = [self.listener.fileno()]
            environment[SOCKET] = str(passed[0])
        child = subprocess.Popen(
            [sys.executable, str(MANAGE), self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            pass_fds=passed,
            start_new_session=True,  # Ctrl-C is for the supervisor, which asks everybody in turn
        )
        threading.Thread(target=_relay, args=[self.name, child.stdout], daemon=True).start()
        return child

    def _enter(self, state: str) -> None:
        self.state, self.since = state, datetime.now(UTC)


def table(*, demo: bool, listener: socket.socket | None = None) -> list[Role]:
    """Return the processes of the site; web serves on `listener`."""
    roles = [
        Role("web", "run_web", listener=listener),
        Role("worker", "run_worker", grace_seconds=WORKER_GRACE_SECONDS),
        Role("beat", "run_beat"),
        Role("sealer", "run_sealer"),
        Role("market", "run_market"),
    ]
    return [*roles, Role("strategy", "run_demo_strategy")] if demo else roles


def stop(roles: Sequence[Role]) -> None:
    """Stop all, each with its grace."""
    for role in roles:
        role.terminate()
    asked = time.monotonic()
    for role in roles:
        role.wait(asked + role.grace_seconds - time.monotonic())


def die_with_supervisor() -> None:
    """Have Linux kill this process with the supervisor that started it, if one did.

    Done by the child itself: code between fork and exec may deadlock in a process with threads.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before we asked
        sys.exit("the supervisor is gone")


def prefixed(name: str, line: str, *, colored: bool) -> str:
    """Return a line of output under the name of its process."""
    label = f"{name:>8} | "
    if colored:
        label = f"\x1b[{COLORS.get(name, 0)}m{label}\x1b[0m"
    return f"{label}{line}"


def say(text: str) -> None:
    """Say something in the supervisor's own name."""
    sys.stderr.write(f"{prefixed('site', text, colored=sys.stderr.isatty())}\n")
    sys.stderr.flush()


def _relay(name: str, stream: IO[str] | None) -> None:
    """Copy a child's lines to our output, each under its name."""
    colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in stream or ():
        sys.stdout.write(prefixed(name, line, colored=colored))
        sys.stdout.flush()
