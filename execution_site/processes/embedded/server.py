"""A server as a child of ours, or one adopted from an owner that was killed."""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from execution_site.floor import private_files
from execution_site.processes.embedded import process
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.embedded.runtime import Runtime, free_port, port_is_free

START_SECONDS = 60.0  # recovery after a crash may take its time
LOG_BYTES = 10_000_000
RELAUNCH_SECONDS = 1.0  # a server that dies at once is not started more often


class Server(ABC):
    """One of the services of a data directory."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    stop_seconds: ClassVar[float]

    def __init__(self, data_dir: Path, runtime: Runtime) -> None:
        self.runtime = runtime
        self.directory = data_dir.resolve() / self.name
        self.log = data_dir.resolve() / f"{self.name}.log"
        self.since = datetime.now(UTC)
        self.restarts = 0
        self.last_exit: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._launched_at = float("-inf")

    @property
    def pid(self) -> int | None:
        """Return its pid while it runs; a child that has died is reaped here.

        An unreaped postmaster would keep its successor from starting.
        """
        if self._child is not None:
            if (code := self._child.poll()) is None:
                return self._child.pid
            self._child, self.last_exit = None, code
        return self._adopted()

    @property
    def port(self) -> int:
        """Return its port."""
        return int(self.runtime.values[self.name]["port"])

    @property
    def password(self) -> str:
        """Return its password."""
        return str(self.runtime.values[self.name]["password"])

    def start(self) -> None:
        """Adopt the server that still runs, or launch one, on its old port where that is free.

        :raises ServiceFailed: it does not come up
        """
        self._discover()
        if self.pid is None:
            if not port_is_free(self.port):
                self.runtime.update(self.name, port=free_port())
            self._launch()
        self._wait()
        self.runtime.update(self.name, pid=self.pid)

    def heal(self) -> bool:
        """Launch it again, on its old port, if it has died; tell whether it had.

        This does not wait until it answers.
        """
        if self.pid is not None or time.monotonic() - self._launched_at < RELAUNCH_SECONDS:
            return False
        self.restarts += 1
        self._launch()
        self.runtime.update(self.name, pid=self.pid)
        return True

    def stop(self) -> None:
        """Stop it."""
        if (pid := self.pid) is not None:
            process.end(pid, self._child, number=self.stop_signal, seconds=self.stop_seconds)
        self._child = None

    def trim_log(self) -> None:
        """Begin a log anew that has grown long, and keep the one before it.

        The server appends, so it goes on at what is then the end.
        """
        if not self.log.exists() or self.log.stat().st_size <= LOG_BYTES:
            return
        kept = self.log.with_name(f"{self.log.name}.1")
        with (
            self.log.open("rb") as log,
            os.fdopen(private_files.opened(kept, os.O_WRONLY | os.O_TRUNC), "wb") as copy,
        ):
            os.fchmod(copy.fileno(), 0o600)
            shutil.copyfileobj(log, copy)
        os.truncate(self.log, 0)

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it serves whoever has our password."""

    @abstractmethod
    def _adopted(self) -> int | None:
        """Return the pid of the running server that is no child of ours."""

    @abstractmethod
    def _discover(self) -> None:
        """Note the port or pid of a running server whose owner could not write it down."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the process and return."""

    def _spawn(self, program: Path, *arguments: str, config: str = "") -> None:
        """Start the program, with `config` on its standard input."""
        user = process.account(self.directory)
        process.let_through(program, user)
        self.trim_log()
        opened = private_files.opened(self.log, os.O_WRONLY | os.O_APPEND)
        os.fchmod(opened, 0o600)
        with os.fdopen(opened, "ab") as output:
            child = subprocess.Popen(
                [str(program), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                **process.popen_arguments(user),  # type: ignore[call-overload]
            )
        child.stdin.write(config.encode())
        child.stdin.close()
        self._child, self._launched_at = child, time.monotonic()
        self.since = datetime.now(UTC)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.pid is None:
                raise ServiceFailed(f"{self.title} did not start: see {self.log}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.title} does not answer: see {self.log}")
            time.sleep(process.POLL_SECONDS)
