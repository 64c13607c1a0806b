"""serve: start a server, and stop it once every accepted request has its response."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from saccade.deploy.server.app import make_app
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.model_registry import ModelRegistry
from saccade.errors import SaccadeError
from saccade.runs.run import Run, require_runs
from saccade.sanitize import printable
from saccade.web.limits import Limits
from saccade.web.middleware import ServerState
from saccade.web.timeout_protocol import TimeoutProtocol

_DRAIN_SECONDS = 0.3
"""Time in which a server that shuts down still accepts requests that were sent before."""
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_BACKLOG = 2048
_ORIGIN = re.compile(r"https?://[^/\s?#@,]+")
_OTHER_FILES = 128  # open files of the server besides its connections


def serve(  # noqa: PLR0913 - the options of the command line, and the limits
    runs: Sequence[Run | str | Path] | Run | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    abstain: float | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve models for image classification, by a page and an API, until the process gets SIGTERM or SIGINT.

    Every request that was accepted before the signal gets its response. The Host header of a request must contain an IP
    address, "localhost", the name of this machine or an allowed name.

    Args:
        runs: one or several runs, or ONNX files that `saccade.export` wrote; the name of each directory or file becomes
            the name of its model.
        host: address to listen at. With any other address than 127.0.0.1, other machines can reach the server.
        port: port to listen at; 0: any free port.
        token: bearer token that requests must carry, except those for the page and for health; None: no token.
        allowed_hosts: further host names of the server.
        allowed_origins: origins of other web pages, such as "https://example.org", whose scripts may use the server
            (CORS); "*": any page.
        abstain: target accuracy, such as 0.99: a prediction is abstained where its confidence is below the threshold at
            which the predictions for a run's validation images reach this accuracy. None: no abstention.
        limits: limits on size and time; None: the default limits.

    Raises:
        RunError: a run can't be served, or no confidence threshold of a run reaches the target accuracy.
        SaccadeError: the address or port can't be used, the token can't be used, or an event loop is running, as in a
            notebook.
    """
    paths = [str(run.path if isinstance(run, Run) else run) for run in require_runs(runs)]
    with ListeningSocket(host, port) as listening:
        access = Access(token, allowed_hosts, allowed_origins)
        handle_requests(listening, paths, access, abstain, limits or Limits())


@dataclass(frozen=True)
class Access:
    """Who may use the server.

    Attributes:
        token: bearer token that requests must carry; None: no token.
        hosts: further host names of the server.
        origins: origins of other web pages whose scripts may use the server; "*": any page.

    Raises:
        SaccadeError: the token or an origin can't be used.
    """

    token: str | None = None
    hosts: Collection[str] = ()
    origins: Collection[str] = ()

    def __post_init__(self) -> None:
        _check_token(self.token)
        for origin in self.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise SaccadeError(
                    "the origin can't be used",
                    expected="a scheme and a host, such as https://example.org or http://localhost:3000, or *",
                    found=printable(origin),
                )


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


def handle_requests(
    listening: ListeningSocket,
    paths: Sequence[str],
    access: Access,
    abstain: float | None,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run the server of `serve` on a listening socket; call `ready` once the models are loaded."""
    _check_no_event_loop()
    metrics, state = Metrics(), ServerState()
    with closing(ModelRegistry(paths, abstain, limits, metrics)) as models:
        hosts = {"localhost", listening.host, socket.gethostname(), *access.hosts}
        app = make_app(models, limits, metrics, state, hosts=hosts, token=access.token, origins=access.origins)
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
        ready()
        _Server(config, state).run(sockets=[listening.socket])


def _check_token(token: str | None) -> None:
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= 16):
        raise SaccadeError(
            "the token can't be used",
            expected="at least 16 printable ASCII characters without spaces",
            remedy="make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
        )


def _check_no_event_loop() -> None:
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

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self._state = state

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
