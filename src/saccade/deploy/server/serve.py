"""serve: start a server, and stop it once every accepted request has its response."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from saccade.deploy.server.app import make_app
from saccade.deploy.server.metrics import Metrics
from saccade.deploy.server.model_registry import ModelRegistry
from saccade.errors import SaccadeError
from saccade.runs.run import Run, require_runs
from saccade.sanitize import printable
from saccade.web.limits import Limits
from saccade.web.middleware import ServerState
from saccade.web.server import ListeningSocket, check_no_event_loop, run_server

_ORIGIN = re.compile(r"https?://[^/\s?#@,]+")


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


def handle_requests(
    listening: ListeningSocket,
    paths: Sequence[str],
    access: Access,
    abstain: float | None,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run the server of `serve` on a listening socket; call `ready` once the models are loaded."""
    check_no_event_loop()
    metrics, state = Metrics(), ServerState()
    with closing(ModelRegistry(paths, abstain, limits, metrics)) as models:
        hosts = {"localhost", listening.host, socket.gethostname(), *access.hosts}
        app = make_app(models, limits, metrics, state, hosts=hosts, token=access.token, origins=access.origins)
        run_server(app, listening, limits, state, ready)


def _check_token(token: str | None) -> None:
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= 16):
        raise SaccadeError(
            "the token can't be used",
            expected="at least 16 printable ASCII characters without spaces",
            remedy="make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
        )
