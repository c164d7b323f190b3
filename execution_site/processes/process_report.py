"""The supervisor's report: what runs, written where the page reads it."""

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from execution_site.floor import outages

REPORT_SECONDS = 1.0
CLOSE_SECONDS = 4.0

UPSERT = """
INSERT INTO execution_site_processstatus
    (name, state, pid, since, restarts, last_exit, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, pid = excluded.pid, since = excluded.since,
    restarts = excluded.restarts, last_exit = excluded.last_exit, updated_at = excluded.updated_at
"""
FORGET = "DELETE FROM execution_site_processstatus WHERE name <> ALL(%s)"


class ProcessState(NamedTuple):
    """What is said of one process. `state`: up, restarting, stopped."""

    name: str
    state: str
    pid: int | None
    since: datetime
    restarts: int
    last_exit: int | None


class Reporter:
    """Writes the states every second and at once on change, on a thread of its own.

    A database that is down or hangs is told later; watching over the processes goes on.
    """

    def __init__(self) -> None:
        self._states: Sequence[ProcessState] = ()
        self._news = threading.Event()
        self._closing = False
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)
        self._thread.start()

    def show(self, states: Sequence[ProcessState]) -> None:
        """Have these states written, at once where they differ from the last ones."""
        if states != self._states:
            self._states = states
            self._news.set()

    def close(self) -> None:
        """Write the last states, and end."""
        self._closing = True
        self._news.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closing:
            self._news.wait(REPORT_SECONDS)
            self._news.clear()
            try:
                self._write(self._states)
                self._failing = False
                outages.services.end(outages.DATABASE)
            except psycopg.Error as e:
                self._connection, self._failing = None, True
                outages.services.begin(outages.DATABASE, e)

    def _write(self, states: Sequence[ProcessState]) -> None:
        now = datetime.now(UTC)
        if self._connection is None:
            self._connection = psycopg.connect(
                os.environ["DATABASE_URL"],
                autocommit=True,
                connect_timeout=2,
                options="-c statement_timeout=2000",
                application_name="supervisor",
            )
            self._connection.execute(FORGET, [[state.name for state in states]])
        with self._connection.cursor() as cursor:
            cursor.executemany(UPSERT, [(*state, now) for state in states])
