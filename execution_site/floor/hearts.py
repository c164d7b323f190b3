"""Each process beats its own heart into the database, and leaves a site that it is too old for.

A heart beats while the work of its process moves: a process that is frozen, or whose loop hangs, is
silent. It beats on a thread and a connection of its own.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from django.conf import settings
from django.db import models

from execution_site.floor import outages, release
from execution_site.floor.release import Mismatch

BEAT_SECONDS = 1.0
STILL_SECONDS = 10.0  # work that has not moved for so long counts as hung
SILENT_SECONDS = 4.0  # a heart that was not heard for so long counts as dead
FORGOTTEN = "10 minutes"
ROLES = ("web", "worker", "beat", "sealer", "market")

logger = logging.getLogger(__name__)


class Heart(models.Model):
    """A process that works, by the database's clock. `build` is what it runs."""

    name = models.CharField(max_length=128, primary_key=True)
    role = models.CharField(max_length=32)
    build = models.CharField(max_length=64)
    since = models.DateTimeField()
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Beating:
    """The heart of this process."""

    def __init__(self, role: str, *, leave: Callable[[], None] | None = None) -> None:
        self.role = role
        self.name = f"{role}@{socket.gethostname()}:{os.getpid()}"
        self._leave = leave or _terminate
        self._since = datetime.now(UTC)
        self._moved_at = time.monotonic()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def moved(self) -> None:
        """Note that the work of the process goes on."""
        self._moved_at = time.monotonic()

    def beat(self) -> None:
        """Beat once.

        :raises Mismatch: this code is not what the site runs; it does not beat
        :raises psycopg.Error: the database took no beat
        """
        connection = self._connected()
        release.check(connection)
        connection.execute(_BEAT, [self.name, self.role, release.build(), self._since])

    def start(self) -> "Beating":
        """Beat from now on; a database that is away is beaten into when it is back.

        :raises Mismatch: this code is not what the site runs
        """
        self._try_to_beat()
        threading.Thread(target=self._run, name="heart", daemon=True).start()
        return self

    def _run(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            if time.monotonic() - self._moved_at < STILL_SECONDS:
                try:
                    self._try_to_beat()
                except Mismatch as e:
                    logger.critical("%s refuses to work: %s", self.role, e)
                    self._leave()
                    return

    def _try_to_beat(self) -> None:
        try:
            self.beat()
            outages.services.end(outages.DATABASE)
        except psycopg.Error as e:
            self._connection = None
            if outages.unwritable(e) is None:
                outages.services.begin(outages.DATABASE, e)

    def _connected(self) -> "psycopg.Connection[tuple[object, ...]]":
        if self._connection is None:
            self._connection = psycopg.connect(
                settings.DATABASE_SECRET_URL,
                autocommit=True,
                connect_timeout=2,
                options="-c statement_timeout=2000 -c synchronous_commit=off",
                application_name=f"heart-{self.role}",
            )
            self._forget_the_dead(self._connection)
        return self._connection

    def _forget_the_dead(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        """Forget what has long been silent, and processes of this role that this machine ended."""
        connection.execute(_FORGET)
        before = self.name.rpartition(":")[0]
        known = connection.execute("SELECT name FROM execution_site_heart").fetchall()
        for name in (str(name) for (name,) in known):
            machine, _, pid = name.rpartition(":")
            if machine == before and name != self.name and not _runs(int(pid)):
                connection.execute("DELETE FROM execution_site_heart WHERE name = %s", [name])


def begin(role: str) -> Beating:
    """Begin to beat, or end this process where it is not what the site runs."""
    try:
        return Beating(role).start()
    except Mismatch as e:
        sys.exit(f"{role} refuses to work: {e}")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    return True


def _terminate() -> None:
    """End as if asked to stop: what is being done is finished."""
    os.kill(os.getpid(), signal.SIGTERM)


_BEAT = """
INSERT INTO execution_site_heart (name, role, build, since, beat_at)
VALUES (%s, %s, %s, %s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at
"""
_FORGET = f"DELETE FROM execution_site_heart WHERE beat_at < now() - interval '{FORGOTTEN}'"  # noqa: S608 our own
