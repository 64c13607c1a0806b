"""HTTP connections with timeouts: a client that sends or receives too slowly is disconnected."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_MAX_SMALL_CHUNKS, _MIN_MEAN_BYTES = 1000, 512


class _Connection(h11.Connection):
    """HTTP connection that rejects a body in very many tiny chunks, because parsing them would block other clients."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > _MAX_SMALL_CHUNKS and self._bytes < _MIN_MEAN_BYTES * self._chunks:
                raise h11.RemoteProtocolError("the body comes in too many chunks")
        return event

    def start_next_cycle(self) -> None:
        super().start_next_cycle()
        self._chunks = self._bytes = 0


class TimeoutProtocol(H11Protocol):
    """HTTP protocol that closes the connection of a slow client. uvicorn itself has no such timeout.

    Attributes:
        seconds: timeout for sending a request, counted from the connection or from the first byte of the request, and
            for receiving a response.
        max_connections: most open connections; each further connection is closed at once.
    """

    seconds: ClassVar[float]
    max_connections: ClassVar[int]

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.conn = _Connection(h11.SERVER)

    _receiving: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    @classmethod
    def with_limits(cls, seconds: float, max_connections: int) -> type[TimeoutProtocol]:
        """Return the protocol with these limits."""
        return type("LimitedProtocol", (cls,), {"seconds": seconds, "max_connections": max_connections})

    def connection_made(self, transport: Any) -> None:
        """Start the timeout for the first request of a new connection."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        # By default, `pause_writing` is called only once 64 KB wait for the client.
        transport.set_write_buffer_limits(high=0)
        self._receiving = self.loop.call_later(self.seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeouts of a closed connection."""
        for timer in (self._receiving, self._sending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process received bytes; start or cancel the timeout for the rest of the request."""
        super().data_received(data)
        state = self.conn.their_state
        unfinished = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if unfinished and self._receiving is None and not self.transport.is_closing():
            self._receiving = self.loop.call_later(self.seconds, self.transport.abort)
        elif not unfinished and self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def send_400_response(self, msg: str) -> None:
        """Send status 400 to a request that is not HTTP."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # a response was sent before the request ended
            self.transport.abort()

    def pause_writing(self) -> None:
        """Start the timeout for a client that does not receive the response."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the timeout once the client has received the response."""
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
