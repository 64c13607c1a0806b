"""serve: starts a server, and ends it without losing what it has accepted."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from saccade.deploy.server.app import State, make_app
from saccade.deploy.server.limits import Limits
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.models import Models
from saccade.deploy.server.patient_protocol import PatientProtocol
from saccade.errors import SaccadeError
from saccade.runs.run import Run

_LINGER = 0.3
"""Seconds in which a server that is to end still reads what was sent before its clients could know of it."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_BACKLOG = 2048


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
    """Answers requests for pictures' classes, by a page and an API, until the process gets SIGTERM or SIGINT.

    What was accepted until then is answered. Requests must call the server by an address, by "localhost", by this
    machine's name or by one of the allowed names.

    Args:
        runs: one or several runs, or ONNX files that `saccade.export` wrote; each is served under its own name.
        host: the address to listen at. At any other than 127.0.0.1, others can reach the server.
        port: the port to listen at; 0: any that is free.
        token: that every request must bring, but those for the page and for the server's health; None: none.
        allowed_hosts: further names that requests may call the server by.
        abstain: the part of the answers that is to be right, such as 0.99: what is less probable than that takes, by a
            run's validation pictures, is marked as unsure. None: nothing is.
        limits: on size and time; None: the usual ones.

    Raises:
        RunError: one of the runs can't be served, or can't keep that promise.
        SaccadeError: nothing can listen at that address and port.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else runs
    with Listening(host, port) as listening:
        paths = [str(run.path if isinstance(run, Run) else run) for run in several]
        answer_requests(listening, paths, token, allowed_hosts, abstain, limits or Limits())


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


def answer_requests(
    listening: Listening,
    paths: Sequence[str],
    token: str | None,
    allowed_hosts: Collection[str],
    abstain: float | None,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Does what `serve` says; `ready` is called once the models are loaded."""
    metrics, state = Metrics(), State()
    models = Models(paths, abstain, limits, metrics)
    try:
        hosts = {"localhost", listening.host, socket.gethostname(), *allowed_hosts}
        app = make_app(models, limits, metrics, state, hosts=hosts, token=token)
        config = uvicorn.Config(
            app,
            http=PatientProtocol.within(limits.patience, limits.connections),
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
    finally:
        models.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which ends well when it is told to, and not by the signal that told it."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT as wishes to end; a second SIGINT ends at once."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Reads for a moment longer what is on its way already, then answers what there is, and closes."""
        self._state.ending = True
        await asyncio.sleep(_LINGER)
        await super().shutdown(sockets)
