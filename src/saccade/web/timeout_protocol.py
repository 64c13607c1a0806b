"""HTTP connections with an end to patience: a client that sends or takes too slowly is cut off."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from uvicorn.protocols.http.h11_impl import H11Protocol

_MANY_CHUNKS, _SMALL_CHUNK = 1000, 512


class _Connection(h11.Connection):
    """HTTP that refuses bodies in a multitude of tiny chunks: taking these apart would keep the server from others."""

    _chunks = 0
    _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > _MANY_CHUNKS and self._bytes < _SMALL_CHUNK * self._chunks:
                raise h11.RemoteProtocolError("the body comes in too many chunks")
        return event

    def start_next_cycle(self) -> None:
        super().start_next_cycle()
        self._chunks = self._bytes = 0


class PatientProtocol(H11Protocol):
    """A connection that is cut off when its client is too slow.

    uvicorn itself waits as long as a client likes, for a request and for an answer to be taken.

    Attributes:
        seconds: in which a client must have sent a request, from the connection or the request's first byte on, or
            taken an answer.
        most_connections: that may be open; of more, each is closed at once.
    """

    seconds: ClassVar[float]
    most_connections: ClassVar[int]

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.conn = _Connection(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE)

    _receiving: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, seconds: float, most_connections: int) -> type[PatientProtocol]:
        """The protocol with these limits."""
        return type("LimitedProtocol", (cls,), {"seconds": seconds, "most_connections": most_connections})

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.abort()
            return
        # `pause_writing` is to tell of every byte that the client does not take, not of those beyond 64 KB.
        transport.set_write_buffer_limits(high=0)
        self._receiving = self.loop.call_later(self.seconds, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        for timer in (self._receiving, self._sending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A part of a request has come."""
        super().data_received(data)
        state = self.conn.their_state
        unfinished = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if unfinished and self._receiving is None and not self.transport.is_closing():
            self._receiving = self.loop.call_later(self.seconds, self.transport.abort)
        elif not unfinished and self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def send_400_response(self, msg: str) -> None:
        """The request is no HTTP."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # it was answered before its end came
            self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not take what it is sent."""
        super().pause_writing()
        if self._sending is None:
            self._sending = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken it."""
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
