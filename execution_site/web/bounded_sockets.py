"""Sockets whose client has nothing to say: what it sends is bounded, whatever frames it comes in.

Control frames and the parts of a message cost us as much as messages, and the application never
sees them, so all are counted here.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

TOO_MANY = 4429
MESSAGE_BYTES = 4096  # of one message
MOST_FRAMES, MOST_BYTES, WINDOW_SECONDS = 40, 32 * 1024, 10.0  # so many within so long
SLICE = 512  # bytes that are looked at before the frames in them are counted


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's own; a client that sends too much is closed with 4429."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frames, self._bytes, self._since = 0, 0, self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Read a handshake, which the HTTP protocol has bounded, or frames."""
        if not self.handshake_initiated:
            super().data_received(data)
            return
        now = self.loop.time()
        if now - self._since > WINDOW_SECONDS:
            self._frames, self._bytes, self._since = 0, 0, now
        self._bytes += len(data)
        for start in range(0, len(data), SLICE):
            if self._bytes <= MOST_BYTES and not self.transport.is_closing():
                super().data_received(data[start : start + SLICE])
            if self._bytes > MOST_BYTES or self._frames > MOST_FRAMES:
                self._end()
                return

    def handle_events(self) -> None:
        """Count frames before they are looked at."""
        self._frames += len(self.conn.events)
        super().handle_events()

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.conn.fail(TOO_MANY)
            self.handle_parser_exception()
