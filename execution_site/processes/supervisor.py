"""The supervisor: services, then the roles, until it is told to stop.

It starts nothing it cannot serve: a failed system check, another copy or a taken port ends it
first, in words.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from execution_site.processes import embedded, roles
from execution_site.processes.embedded import AlreadyOwned, Services
from execution_site.processes.embedded.process import ServiceFailed
from execution_site.processes.embedded.runtime import port_is_free
from execution_site.processes.embedded.server import Server
from execution_site.processes.process_report import ProcessState, Reporter
from execution_site.processes.roles import MANAGE, Role, say

LOOK_SECONDS = 0.2
READY_POLL_SECONDS = 0.2
BACKLOG = 2048
PORT_SECONDS = 3.0  # what a killed supervisor left is on its way out


class CannotStart(Exception):
    """Why the site cannot be started, for the person who tried."""


class Supervisor:
    """Owns the services and the roles of one data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str,
        port: int,
        named: str = "localhost",
        sign_ins: Mapping[str, str] | None = None,
    ) -> None:
        """Watch over one installation.

        `named` is a host name that the site answers to; `sign_ins` are the demo's users and
        passwords, None without a demo.
        """
        self.data_dir, self.host, self.port, self.named = data_dir, host, port, named
        self.sign_ins = sign_ins
        self.names = embedded.ours(os.environ, data_dir)
        self.services = Services(data_dir, names=self.names)
        self.roles: list[Role] = []
        self.stopping, self.starting = False, True

    def run(self) -> None:
        """Start everything, watch over it, stop everything.

        :raises CannotStart: nothing was left running
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        self._claim()
        try:
            self._start_services()
            self._manage("prepare")
            self._watch()
        finally:
            self.services.stop()

    def _claim(self) -> None:
        """Become the one supervisor of the data directory, on a free port."""
        try:
            self.services.own()
        except AlreadyOwned as e:
            raise CannotStart(f"The site is running already: {e}.") from e
        deadline = time.monotonic() + PORT_SECONDS
        while not self._port_is_free():
            if time.monotonic() > deadline:
                self.services.disown()
                raise CannotStart(
                    f"Port {self.port} on {self.host} is taken. Stop what listens there, or choose"
                    f" another: PORT={self.port + 1} make run"
                )
            time.sleep(LOOK_SECONDS)

    def _port_is_free(self) -> bool:
        try:
            return port_is_free(self.port, self.host)
        except PermissionError as e:
            self.services.disown()
            raise CannotStart(
                f"Port {self.port} is for root alone, which the site is not, whoever starts it:"
                " put a proxy there (docs/operation.md), or choose another: PORT=8000 make run"
            ) from e

    def _start_services(self) -> None:
        started = time.monotonic()
        try:
            self.services.start()
        except ServiceFailed as e:
            raise CannotStart(str(e)) from e
        embedded.export(self.data_dir, self.names, os.environ)
        for server in self.services.servers:
            say(f"{server.title} on port {server.port}, {time.monotonic() - started:.1f} s")

    def _listen(self) -> socket.socket:
        """Return what web serves on. It stays open while web is restarted: who comes then waits."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as e:
            raise CannotStart(f"Port {self.port} on {self.host}: {e.strerror}") from e

    def _manage(self, command: str) -> None:
        """Run a command to its end, or to ours."""
        environment = {**os.environ, roles.PARENT: str(os.getpid())}
        child = subprocess.Popen(
            [sys.executable, str(MANAGE), command], env=environment, start_new_session=True
        )
        try:
            while child.poll() is None:
                time.sleep(LOOK_SECONDS)
        finally:
            child.terminate()
            child.wait()
        if child.returncode != 0:
            raise CannotStart("The site was not started: see above.")

    def _watch(self) -> None:
        """Keep everything running until asked to stop."""
        listener = self._listen()
        self.roles = roles.table(demo=self.sign_ins is not None, listener=listener)
        self.starting = False
        for role in self.roles:
            role.start()
        threading.Thread(target=self._announce, name="announce", daemon=True).start()
        reporter = Reporter()
        try:
            while not self.stopping:
                for name in self.services.heal():
                    say(f"{name} had died: started again")
                for role in self.roles:
                    role.look()
                reporter.show(self._states())
                time.sleep(LOOK_SECONDS)
        finally:
            say("stopping")
            roles.stop(self.roles)
            listener.close()
            reporter.show(self._states())
            reporter.close()

    def _states(self) -> list[ProcessState]:
        """Return what to say of each process."""
        states = [
            ProcessState(r.name, r.state, r.pid, r.since, r.restarts, r.last_exit)
            for r in self.roles
        ]
        return states + [self._server_state(server) for server in self.services.servers]

    def _server_state(self, server: Server) -> ProcessState:
        pid = server.pid
        state = "stopped" if self.stopping else "restarting" if pid is None else "up"
        return ProcessState(
            server.name, state, pid, server.since, server.restarts, server.last_exit
        )

    def _announce(self) -> None:
        """Say the address once everything serves."""
        while not self._serves():
            if self.stopping:
                return
            time.sleep(READY_POLL_SECONDS)
        lines = [f"Ready: http://{_in_url(self.host)}:{self.port}"]
        lines += [f"  sign in as {who} / {word}" for who, word in (self.sign_ins or {}).items()]
        text = "\n".join(lines) + "\n"  # in one piece: the processes' lines come between others
        print(text, end="", flush=True)

    def _serves(self) -> bool:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        connection = http.client.HTTPConnection(reachable, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz", headers={"Host": self.named})
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.stopping:  # asked twice: hurry
            for role in self.roles:
                if role.child is not None:
                    role.child.kill()
        elif self.starting:  # whatever it waits for
            self.stopping = True
            raise SystemExit(0)
        self.stopping = True


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
