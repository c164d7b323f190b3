"""`runtime.json`: ports, passwords and processes of one installation, its user's alone."""

import json
import os
import random
import socket
from pathlib import Path
from typing import Any

from execution_site.floor import private_json, secret_keys
from execution_site.floor.database_roles import APPLICATION, OWNER, READER
from execution_site.processes.embedded.process import ServiceFailed

DATABASE = "execution"
SERVERS = ("postgres", "valkey")
#: Where the passwords of the database's roles are, beside the port.
PASSWORDS = {OWNER: "password", APPLICATION: "app_password", READER: "reader_password"}

#: Below the ports that the kernel lends to outgoing connections: a client that retries a dead
#: server on one of those can be given the server's own port, and keeps it from coming back.
PORTS = range(20_000, 30_000)


class Runtime:
    """What every process of an installation must know to connect."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "runtime.json"
        self.values: dict[str, Any] = {}
        self.read()

    @property
    def owner(self) -> int | None:
        """Return the pid of the process that last started or adopted the services."""
        return self.values.get("owner")

    def read(self) -> None:
        """Read what the owner has written."""
        if self.path.exists():
            self.values = json.loads(self.path.read_text())

    def prepare(self) -> None:
        """Choose ports, passwords and keys, once for all: they are kept over restarts.

        :raises ServiceFailed: there is a database, but nothing that opens it
        """
        if self.values:
            return
        if (self.data_dir / "postgres").exists():
            raise ServiceFailed(
                f"{self.path}, with the password of the database beside it, is missing:"
                f" restore it, or move {self.data_dir} away to start afresh"
            )
        secret_keys.load(self.data_dir, os.environ)  # before the database that they protect
        self.values = {
            name: {"port": free_port(), "password": secret_keys.new_key()} for name in SERVERS
        }
        self.values["postgres"] |= {name: secret_keys.new_key() for name in PASSWORDS.values()}
        if not private_json.create(self.path, self.values):
            self.read()  # another process was quicker: its choice counts

    def update(self, server: str, **values: Any) -> None:
        """Note something about a server. For the owner alone."""
        self.values.setdefault(server, {}).update(values)
        self.save()

    def save(self) -> None:
        """Replace the file in one step; nobody but its user may read it."""
        private_json.replace(self.path, self.values)

    def environment(self) -> dict[str, str]:
        """Return the variables that point the site at these services, as the application."""
        valkey = self.values["valkey"]
        return {
            "DATABASE_URL": self.database_url(APPLICATION),
            "REDIS_URL": f"redis://:{valkey['password']}@127.0.0.1:{valkey['port']}/0",
        }

    def database_url(self, role: str) -> str:
        """Return the address of the database for one of its roles."""
        postgres = self.values["postgres"]
        password = postgres.get(PASSWORDS[role], "")
        return f"postgresql://{role}:{password}@127.0.0.1:{postgres['port']}/{DATABASE}"

    def add_passwords(self) -> bool:
        """Choose the passwords that an older installation lacks; tell whether it did."""
        missing = [name for name in PASSWORDS.values() if name not in self.values["postgres"]]
        if missing:
            self.update("postgres", **{name: secret_keys.new_key() for name in missing})
        return bool(missing)


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on just now."""
    candidates = random.sample(PORTS, 100)
    return next(port for port in candidates if port_is_free(port))


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether the port can be listened on.

    :raises PermissionError: not by this user
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise
        except OSError:
            return False
        return True
