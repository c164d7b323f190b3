"""The web process's server: uvicorn, which ends without refusing or cutting off anybody.

Asked to stop, it goes on for a moment and has each answer close its connection, so that clients
come back on another one; then it takes no more connections, answers what has come, and ends. The
supervisor holds the socket: who comes in between waits for the next web process.
"""

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from execution_site.processes import roles

DRAIN_SECONDS = 1.0
SETTLE_SECONDS = 0.2
CLOSE = (b"connection", b"close")


class WebServer(uvicorn.Server):
    """Serves until it is told to stop, and a moment longer."""

    _draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain, then stop; who waits for the database at the start has nobody to wait for."""
        loop = asyncio.get_running_loop()
        if not self.started:
            loop.call_soon_threadsafe(sys.exit, 0)
            return
        if self._draining or sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        loop.call_soon_threadsafe(loop.call_later, DRAIN_SECONDS, super().handle_exit, sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let those just taken say what they want."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(SETTLE_SECONDS)
        await super().shutdown(sockets)


def inherited() -> list[socket.socket] | None:
    """Return the socket that a supervisor listens on for us, None without one."""
    number = os.environ.pop(roles.SOCKET, None)
    return None if number is None else [socket.socket(fileno=int(number))]
