"""The supervisor: services, then the roles, until it is told to stop.

It starts nothing it cannot serve: a taken port or a failed system check ends it first, in words.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.error import URLError

import psycopg

from execution_site import roles
from execution_site.embedded import AlreadyOwned, Services
from execution_site.embedded.process import ServiceFailed
from execution_site.embedded.runtime import port_is_free
from execution_site.roles import MANAGE, Role

LOOK_SECONDS = 0.2
REPORT_SECONDS = 2.0
WORKER_GRACE_SECONDS = 30.0


class CannotStart(Exception):
    """Why the site cannot be started, for the person who tried."""


def role_table(*, demo: bool) -> list[Role]:
    """Return the processes of the site."""
    table = [
        Role("web", "run_web"),
        Role("worker", "run_worker", grace_seconds=WORKER_GRACE_SECONDS),
        Role("beat", "run_beat"),
        Role("sealer", "run_sealer"),
        Role("market", "run_market"),
    ]
    return [*table, Role("strategy", "run_demo_strategy")] if demo else table


class Supervisor:
    """Owns the services and the roles of one data directory."""

    def __init__(self, data_dir: Path, *, host: str, port: int, demo: bool) -> None:
        self.url = f"http://{host}:{port}"
        self.host, self.port, self.demo = host, port, demo
        external = os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")
        self.services = None if external else Services(data_dir)
        self.roles = role_table(demo=demo)
        self.stopping = False
        self._ready = False
        self._reported = 0.0

    def run(self) -> None:
        """Start everything, watch over it, stop everything.

        :raises CannotStart: nothing was left running
        """
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        signal.signal(signal.SIGINT, self._ask_to_stop)
        try:
            self._open()
            for role in self.roles:
                role.start()
            while not self.stopping:
                self._look()
                time.sleep(LOOK_SECONDS)
        finally:
            roles.stop(self.roles)
            if self.services is not None:
                self.services.stop()

    def _open(self) -> None:
        """Start the services and bring the database up to date."""
        if self.services is not None:
            try:
                self.services.own()
            except AlreadyOwned as e:
                raise CannotStart(f"The site is running already: {e}.") from e
        if not port_is_free(self.port, self.host):
            raise CannotStart(
                f"Port {self.port} on {self.host} is taken. Stop what listens there, or choose"
                " another: PORT=8001 make run"
            )
        if self.services is not None:
            _say("starting PostgreSQL and Valkey")
            try:
                self.services.start()
            except ServiceFailed as e:
                raise CannotStart(str(e)) from e
            for name, value in self.services.runtime.environment().items():
                os.environ.setdefault(name, value)
        self._manage("migrate", "--noinput", "--verbosity=0", doing="bringing the database up")
        self._manage("check", "--database=default", doing="checking the configuration")
        if self.demo:
            self._manage("seed_demo", doing="making the demo")

    def _manage(self, *arguments: str, doing: str) -> None:
        _say(doing)
        ran = subprocess.run([sys.executable, str(MANAGE), *arguments], check=False)
        if ran.returncode != 0:
            raise CannotStart(f"{doing} failed: see above")

    def _look(self) -> None:
        changed = False
        if self.services is not None:
            for name in self.services.heal():
                _say(f"{name} had died: it runs again")
                changed = True
        changed = sum(role.look() for role in self.roles) > 0 or changed
        if not self._ready and self._serves():
            self._ready = True
            print(f"Ready: {self.url}", flush=True)
            if self.demo:
                _say("sign in as trader / trader-demo, or as admin / admin-demo")
        if changed or time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self._report()

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _report(self) -> None:
        """Write the states where the page reads them; a database that is away is told later."""
        rows = [
            (r.name, r.state, r.pid, r.since, r.restarts, r.last_exit) for r in self.roles
        ] + self._service_rows()
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=1) as connection:
                connection.cursor().executemany(_REPORT, [(*row, _now()) for row in rows])
        except psycopg.Error as e:
            _say(f"process states not recorded: {e}")

    def _service_rows(self) -> list[tuple[str, str, int | None, datetime, int, int | None]]:
        if self.services is None:
            return []
        servers = (self.services.postgres, self.services.valkey)
        return [
            (s.name, "up" if s.alive() else "restarting", s.pid, _now(), 0, None) for s in servers
        ]

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.stopping:  # asked twice: hurry
            for role in self.roles:
                if role.child is not None:
                    role.child.kill()
        self.stopping = True


def _now() -> datetime:
    return datetime.now(UTC)


def _say(text: str) -> None:
    sys.stderr.write(f"{'site':>8} | {text}\n")
    sys.stderr.flush()


_REPORT = """
INSERT INTO execution_site_processstatus
    (name, state, pid, since, restarts, last_exit, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, pid = excluded.pid,
    since = CASE WHEN execution_site_processstatus.state = excluded.state
                  AND execution_site_processstatus.pid IS NOT DISTINCT FROM excluded.pid
                 THEN execution_site_processstatus.since ELSE excluded.since END,
    restarts = excluded.restarts, last_exit = excluded.last_exit, updated_at = excluded.updated_at
"""
