"""Listening socket and server of an ASGI application, which ends once every accepted request has its response."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from saccade.errors import SaccadeError
from saccade.web.limits import Limits
from saccade.web.middleware import ServerState
from saccade.web.timeout_protocol import TimeoutProtocol

_DRAIN_SECONDS = 0.3
"""Time in which a server that shuts down still accepts requests that were sent before."""
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_BACKLOG = 2048
_OTHER_FILES = 128  # open files of the server besides its connections


class ListeningSocket:
    """A listening socket. Clients that connect wait until the server handles requests.

    Attributes:
        host: host name or address, as given.
        socket: the socket.

    Raises:
        SaccadeError: the address or port can't be used.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with ExitStack() as on_failure:
                self.socket = on_failure.enter_context(socket.socket(family, kind, protocol))
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.socket.bind(address)
                self.socket.listen(_BACKLOG)
                on_failure.pop_all()
        except OSError as error:
            raise SaccadeError(
                f"the server can't listen at {host}, port {port}",
                found=error.strerror or str(error),
                remedy="name another port: --port 8001, or 0 for any free port",
            ) from None

    def __enter__(self) -> ListeningSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def url(self) -> str:
        """URL of the server for a browser on this machine."""
        host = "127.0.0.1" if self.host in _ALL_INTERFACES else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.socket.getsockname()[1]}"


def run_server(
    app: ASGIApp, listening: ListeningSocket, limits: Limits, state: ServerState, ready: Callable[[], None]
) -> None:
    """Handle requests until the process gets SIGTERM or SIGINT.

    Args:
        app: application, behind its guard.
        listening: listening socket.
        limits: limits on connections and time.
        state: state of the server, which the guard reads.
        ready: function that is called once requests and signals are handled.
    """
    config = uvicorn.Config(
        app,
        http=TimeoutProtocol.with_limits(limits.client_seconds, _max_connections(limits.connections)),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=int(limits.response_seconds + limits.client_seconds) + 1,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    _Server(config, state, ready).run(sockets=[listening.socket])


def check_no_event_loop() -> None:
    """Raise a `SaccadeError` within a running event loop, such as that of a notebook: a server can't run there."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise SaccadeError(
            "a server can't run within a running event loop, such as that of a notebook",
            remedy="start it from a terminal: saccade serve RUN",
        )


def _max_connections(limit: int) -> int:
    """Return the limit, or less where the system allows fewer open files: each connection is an open file."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return limit if soft == resource.RLIM_INFINITY else max(1, min(limit, soft - _OTHER_FILES))


class _Server(uvicorn.Server):
    """uvicorn's server with a graceful shutdown, which ends with exit code 0 rather than by the signal."""

    def __init__(self, config: uvicorn.Config, state: ServerState, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._state, self._ready = state, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to handle requests."""
        await super().startup(sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down gracefully at SIGTERM and SIGINT; a second SIGINT ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown; at the second SIGINT, close all connections."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.loop.call_soon_threadsafe(connection.transport.abort)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept requests for a moment longer, send all responses, and close."""
        self._state.shutting_down = True
        await asyncio.sleep(_DRAIN_SECONDS)
        await super().shutdown(sockets)
