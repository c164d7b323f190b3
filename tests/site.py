"""The whole site as its users run it: `manage.py run` with a data directory and port of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psycopg

from execution_site.floor import secret_keys
from execution_site.floor.database_roles import OWNER
from execution_site.processes.embedded import VARIABLES
from execution_site.processes.embedded.runtime import Runtime, free_port

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
READY_SECONDS = 180
STOP_SECONDS = 50

#: Runs manage.py so that the site stops, and stops its servers, when the test run is killed.
LAUNCHER = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Site:
    """A running site. `output` is all it has printed so far."""

    def __init__(self, directory, *, demo=False, **environment):
        """Prepare a site; further arguments are set in its environment."""
        self.data_dir = Path(directory) / "data"
        self.port = free_port()
        self.url = self.base_url = f"http://127.0.0.1:{self.port}"
        hidden = {*VARIABLES.values(), *secret_keys.NAMES, "DATABASE_OWNER_URL"}
        self.environment = {k: v for k, v in os.environ.items() if k not in hidden} | {
            "DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "DEMO": str(int(demo)),
            "NO_COLOR": "1",
            **environment,
        }
        self.output = []
        self.process = None

    def start(self):
        """Start it and wait until it is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(MANAGE), "run"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        before = len(self.output)
        threading.Thread(target=self._read, args=[self.process.stdout], daemon=True).start()
        deadline = time.monotonic() + READY_SECONDS
        while f"Ready: {self.base_url}\n" not in self.output[before:]:
            assert self.process.poll() is None, "the site ended:\n" + "".join(self.output)
            assert time.monotonic() < deadline, "the site is not ready:\n" + "".join(self.output)
            time.sleep(0.05)
        return self

    def stop(self):
        """Stop it as Ctrl-C would, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def discard(self):
        """Stop it if it runs, and remove its data."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def manage(self, *arguments, check=True):
        """Run a manage.py command beside it."""
        return subprocess.run(
            [sys.executable, str(MANAGE), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
        )

    def connect(self, *, role=OWNER):
        """Connect to its database."""
        address = Runtime(self.data_dir).database_url(role)
        return psycopg.connect(address, autocommit=True, connect_timeout=2)

    def key(self, name, scopes="read,trade"):
        """Make a key for the demo's account."""
        made = self.manage("create_api_key", name, "--scopes", scopes, "--accounts", "paper")
        return made.stdout.strip().splitlines()[-1]

    def client(self, key, timeout=30):
        """Return an HTTP client that signs in with a key."""
        headers = {"Authorization": f"Api-Key {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def chain(self, client, *, seconds=60):
        """Return the demo's option chain once it is quoted and valued."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            chain = client.get("/api/v1/option-chain/NIFTY").json()
            if sum(bool(row["call"]["greeks"]) for row in chain.get("strikes", ())) > 30:
                return chain
            time.sleep(0.5)
        raise AssertionError(f"the chain is not valued: {chain}")

    @property
    def runtime(self):
        """Return ports, passwords and pids of the servers."""
        return json.loads((self.data_dir / "runtime.json").read_text())

    def sql(self, query, params=None):
        """Ask the database."""
        with self.connect() as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def wait_for(self, query, *, expected=True, seconds=30):
        """Wait until a query's first value is what is expected."""
        deadline = time.monotonic() + seconds
        value = None
        while time.monotonic() < deadline:
            try:
                value = self.sql(query)[0][0]
            except psycopg.OperationalError:
                value = "the database is away"
            if value == expected:
                return
            time.sleep(0.1)
        raise AssertionError(f"{query}: {value!r} is not {expected!r} after {seconds} s")

    def states(self):
        """Return state and pid of each role and server, as the supervisor reports them."""
        with self.connect() as connection:
            rows = connection.execute("SELECT name, state, pid FROM execution_site_processstatus")
            return {name: (state, pid) for name, state, pid in rows}

    def pid(self, name):
        """Return the pid of a role, of postgres or valkey, or of the supervisor."""
        if name == "supervisor":
            return self.process.pid
        if name in VARIABLES:
            return self.runtime[name]["pid"]
        return self.states()[name][1]

    def kill(self, name):
        """Kill a process with SIGKILL and return the pid it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_until_back(self, name, *, killed, seconds=30):
        """Wait until the supervisor reports a successor; return the seconds it took."""
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            try:
                state, pid = self.states()[name]
            except psycopg.OperationalError:
                state, pid = "", None
            if state == "up" and pid not in (None, killed):
                return time.monotonic() - started
            time.sleep(0.05)
        raise AssertionError(f"{name} did not come back:\n" + "".join(self.output[-50:]))

    def _read(self, stream):
        for line in stream:
            self.output.append(line)
