"""serve: starts a server, and ends it without losing what it has accepted."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn

from saccade.deploy.server.app import make_app
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.middleware import State
from saccade.deploy.server.model_registry import Models
from saccade.errors import SaccadeError
from saccade.runs.run import Run, require_runs
from saccade.web.limits import Limits
from saccade.web.timeout_protocol import PatientProtocol

_LINGER = 0.3
"""Seconds in which a server that is to end still reads what was sent before its clients could know of it."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_BACKLOG = 2048
_OTHER_FILES = 128  # that the server may have open beside its connections


def serve(
    runs: Sequence[Run | str | Path] | Run | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    abstain: float | None = None,
    limits: Limits | None = None,
) -> None:
    """Answers requests for images' classes, by a page and an API, until the process gets SIGTERM or SIGINT.

    What was accepted until then is answered. Requests must call the server by an address, by "localhost", by this
    machine's name or by one of the allowed names.

    Args:
        runs: one or several runs, or ONNX files that `saccade.export` wrote; each is served under its own name.
        host: the address to listen at. At any other than 127.0.0.1, others can reach the server.
        port: the port to listen at; 0: any that is free.
        token: that every request must bring, but those for the page and for the server's health; None: none.
        allowed_hosts: further names that requests may call the server by.
        abstain: the part of the answers that is to be right, such as 0.99: what is less probable than that takes, by a
            run's validation images, is marked as abstained. None: nothing is.
        limits: on size and time; None: the usual ones.

    Raises:
        RunError: one of the runs can't be served, or can't keep that promise.
        SaccadeError: nothing can listen at that address and port, the token can't be used, or an event loop runs here
            already, as in a notebook.
    """
    paths = [str(run.path if isinstance(run, Run) else run) for run in require_runs(runs)]
    with Listening(host, port) as listening:
        handle_requests(listening, paths, token, allowed_hosts, abstain, limits or Limits())


class Listening:
    """An open socket; who connects waits until requests are answered.

    Attributes:
        host: as it was asked for.
        socket: the socket.

    Raises:
        SaccadeError: nothing can listen there.
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
                remedy="name another port: --port 8001, or 0 for any that is free",
            ) from None

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        shown = "127.0.0.1" if self.host in _EVERYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.socket.getsockname()[1]}"


def handle_requests(
    listening: Listening,
    paths: Sequence[str],
    token: str | None,
    allowed_hosts: Collection[str],
    abstain: float | None,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Does what `serve` says; `ready` is called once the models are loaded."""
    _check_token(token)
    _check_no_loop_runs()
    metrics, state = Metrics(), State()
    with closing(Models(paths, abstain, limits, metrics)) as models:
        hosts = {"localhost", listening.host, socket.gethostname(), *allowed_hosts}
        app = make_app(models, limits, metrics, state, hosts=hosts, token=token)
        config = uvicorn.Config(
            app,
            http=PatientProtocol.within(limits.patience, _connections_that_fit(limits.connections)),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=int(limits.seconds + limits.patience) + 1,
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


def _check_no_loop_runs() -> None:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise SaccadeError(
            "a server can't run within a running event loop, such as that of a notebook",
            remedy="start it from a terminal: saccade serve RUN",
        )


def _connections_that_fit(wanted: int) -> int:
    """How many connections may be open, of those wanted: each takes one of the files that the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_FILES))


class _Server(uvicorn.Server):
    """uvicorn's server, which ends well when it is told to, and not by the signal that told it."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT as wishes to end; a second SIGINT ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals come to the main thread alone
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end; for the second SIGINT without regard for those who are connected."""
        super().handle_exit(sig, frame)
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.loop.call_soon_threadsafe(connection.transport.abort)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Reads for a moment longer what is on its way already, then answers what there is, and closes."""
        self._state.ending = True
        await asyncio.sleep(_LINGER)
        await super().shutdown(sockets)
