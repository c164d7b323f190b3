"""One process of the site: started, its output prefixed, restarted when it dies."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

BACKOFF_SECONDS = (1, 2, 4, 8, 16, 30)
STEADY_SECONDS = 60.0  # after this long a process counts as well again
PR_SET_PDEATHSIG = 1
COLORS = {"web": 36, "worker": 32, "beat": 35, "sealer": 34, "market": 33, "strategy": 90}

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"


def backoff(restarts: int) -> int:
    """Return how many seconds to wait before restart number `restarts` (from 1)."""
    return BACKOFF_SECONDS[min(restarts, len(BACKOFF_SECONDS)) - 1]


@dataclass
class Role:
    """A process that should always run."""

    name: str
    command: str
    grace_seconds: float = 10.0
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
        self.child = subprocess.Popen(
            [sys.executable, str(MANAGE), self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=_die_with_parent,  # noqa: PLW1509 started from one thread alone
            start_new_session=True,
        )
        threading.Thread(target=_relay, args=[self.name, self.child.stdout], daemon=True).start()
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
        sys.stderr.write(f"{self.name} ended with {code}: again in {pause} s\n")
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
            self.child.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    @property
    def pid(self) -> int | None:
        """Return its pid while it runs."""
        return None if self.child is None else self.child.pid

    def _enter(self, state: str) -> None:
        self.state, self.since = state, datetime.now(UTC)


def stop(roles: Sequence[Role]) -> None:
    """Stop all, each with its grace."""
    for role in roles:
        role.terminate()
    asked = time.monotonic()
    for role in roles:
        role.wait(asked + role.grace_seconds - time.monotonic())


def _die_with_parent() -> None:
    """Ask Linux to end this child when the supervisor is killed; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _relay(name: str, stream: IO[str] | None) -> None:
    """Copy a child's lines to our output, each under its name."""
    colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    label = f"{name:>8} | "
    if colored:
        label = f"\x1b[{COLORS.get(name, 0)}m{label}\x1b[0m"
    for line in stream or ():
        sys.stdout.write(f"{label}{line}")
        sys.stdout.flush()
