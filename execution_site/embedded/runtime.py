"""`runtime.json`: ports, passwords, secrets and processes of one installation, its user's alone."""

import json
import os
import random
import secrets
import socket
from pathlib import Path
from typing import Any

from execution_site.database_roles import APPLICATION, OWNER, READER
from execution_site.embedded.process import ServiceFailed

DATABASE = "execution"
SERVERS = ("postgres", "valkey")
#: Where the passwords of the database's roles are, beside the port.
PASSWORDS = {OWNER: "password", APPLICATION: "app_password", READER: "reader_password"}
SECRET_NAMES = ("SECRET_KEY", "CREDENTIALS_KEY", "AUDIT_KEY")

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
        """Choose ports, passwords and secrets, once for all: they are kept over restarts.

        :raises ServiceFailed: there is a database, but nothing that opens it
        """
        if self.values:
            return
        if (self.data_dir / "postgres").exists():
            raise ServiceFailed(
                f"{self.path}, with the password and keys of the database beside it, is missing:"
                f" restore it, or move {self.data_dir} away to start afresh"
            )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.values = {
            **{name: {"port": free_port(), "password": _secret()} for name in SERVERS},
            "secrets": {name: _secret() for name in SECRET_NAMES},
        }
        self.values["postgres"] |= {name: _secret() for name in PASSWORDS.values()}
        partial = self._write_partial()
        try:
            os.link(partial, self.path)
        except FileExistsError:  # another process was quicker: its choice counts
            self.read()
        finally:
            partial.unlink()

    def update(self, server: str, **values: Any) -> None:
        """Note something about a server. For the owner alone."""
        self.values.setdefault(server, {}).update(values)
        self.save()

    def save(self) -> None:
        """Replace the file in one step; nobody but its user may read it."""
        self._write_partial().replace(self.path)

    def environment(self) -> dict[str, str]:
        """Return the variables that point the site at these services, as the application."""
        valkey = self.values["valkey"]
        return {
            "DATABASE_URL": self.database_url(APPLICATION),
            "REDIS_URL": f"redis://:{valkey['password']}@127.0.0.1:{valkey['port']}/0",
            **self.values["secrets"],
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
            self.update("postgres", **{name: _secret() for name in missing})
        return bool(missing)

    def _write_partial(self) -> Path:
        partial = self.path.with_suffix(f".{os.getpid()}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        with os.fdopen(os.open(partial, flags, 0o600), "w") as file:
            json.dump(self.values, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        return partial


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on just now."""
    candidates = random.sample(PORTS, 100)
    return next(port for port in candidates if port_is_free(port))


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether the port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _secret() -> str:
    return secrets.token_urlsafe(48)
