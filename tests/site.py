"""The whole site as its user runs it, in a data directory of its own, to be tried and hurt."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psycopg

from execution_site.embedded.runtime import free_port

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
STOP_SECONDS = 60


class Site:
    """`manage.py run` with the synthetic market and the demo's account, without its strategy."""

    def __init__(self, data_dir, **environment):
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir / "site.log"
        dropped = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIALS_KEY", "AUDIT_KEY")
        kept = {k: v for k, v in os.environ.items() if k not in dropped}
        self.environment = kept | {
            "DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "DEMO": "0",
            "FEED": "synthetic",
            **environment,
        }

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + READY_SECONDS
        while f"Ready: {self.url}" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text()[-4000:])
            time.sleep(0.1)
        self.manage("seed_demo")
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)

    def manage(self, *arguments, check=True):
        """Run a command beside the site and return what it did."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=60,
        )

    def key(self, name, scopes="read,trade"):
        made = self.manage("create_api_key", name, "--scopes", scopes, "--accounts", "paper")
        return made.stdout.strip().splitlines()[-1]

    def client(self, key, timeout=30):
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Api-Key {key}"}, timeout=timeout
        )

    @property
    def runtime(self):
        return json.loads((self.data_dir / "runtime.json").read_text())

    def sql(self, query, params=None):
        """Ask the database, as its owner."""
        server = self.runtime["postgres"]
        with psycopg.connect(
            host="127.0.0.1",
            port=server["port"],
            user="execution",
            password=server["password"],
            dbname="execution",
            autocommit=True,
        ) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def pid(self, role):
        if role in {"postgres", "valkey"}:
            return self.runtime[role]["pid"]
        query = "SELECT pid FROM execution_site_processstatus WHERE name = %s AND state = 'up'"
        rows = self.sql(query, [role])
        return rows[0][0] if rows else None

    def kill(self, role):
        """`kill -9` a process of the site and return its pid."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for(self, query, *, expected=True, seconds=30):
        """Wait until the first column of the first row is what is expected, and return how long."""
        started = time.monotonic()
        value = None
        while time.monotonic() - started < seconds:
            try:
                value = self.sql(query)[0][0]
            except psycopg.OperationalError:
                value = "the database is away"
            if value == expected:
                return time.monotonic() - started
            time.sleep(0.1)
        raise AssertionError(f"{query}: {value!r} is not {expected!r} after {seconds} s")
