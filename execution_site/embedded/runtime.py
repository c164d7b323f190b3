"""`runtime.json`: ports, passwords and secrets of one installation, for its user alone."""

import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any

DATABASE = USER = "execution"
SECRET_NAMES = ("SECRET_KEY", "CREDENTIALS_KEY", "AUDIT_KEY")


class Runtime:
    """What every process of an installation must know to connect."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "runtime.json"
        self.values: dict[str, Any] = json.loads(self.path.read_text()) if self._readable() else {}

    def _readable(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    @property
    def owner(self) -> int | None:
        """Return the pid of the process that last owned the services."""
        return self.values.get("owner")

    def prepare(self, *, owner: int) -> None:
        """Fill in what is missing; ports, passwords and secrets are kept over restarts."""
        self.values["owner"] = owner
        for name in ("postgres", "valkey"):
            server = self.values.setdefault(name, {})
            server.setdefault("port", free_port())
            server.setdefault("password", secrets.token_urlsafe(24))
        kept = self.values.setdefault("secrets", {})
        for name in SECRET_NAMES:
            kept.setdefault(name, secrets.token_urlsafe(48))
        self.save()

    def update(self, server: str, **values: Any) -> None:
        """Note something about a server."""
        self.values.setdefault(server, {}).update(values)
        self.save()

    def save(self) -> None:
        """Replace the file in one step; nobody but its user may read it."""
        partial = self.path.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.values, file, indent=2)
        partial.replace(self.path)

    def environment(self) -> dict[str, str]:
        """Return the variables that point the site at these services."""
        postgres, valkey = self.values["postgres"], self.values["valkey"]
        return {
            "DATABASE_URL": (
                f"postgresql://{USER}:{postgres['password']}@127.0.0.1:{postgres['port']}/{DATABASE}"
            ),
            "REDIS_URL": f"redis://:{valkey['password']}@127.0.0.1:{valkey['port']}/0",
            **self.values["secrets"],
        }


def free_port() -> int:
    """Return a TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether the port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
