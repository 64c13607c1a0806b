"""`saccade serve`."""

from __future__ import annotations

import click

from saccade.cli.output import print_line


@click.command("serve")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on. 0.0.0.0: all network interfaces."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on. 0: any free port.",
)
@click.option("--token-file", type=click.Path(), help="Require the token in this file from every request.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Additional host name of the server. The option can be repeated.",
)
@click.option(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Let scripts of another web page use the server, such as https://example.org; *: of any page. The option can "
    "be repeated.",
)
@click.option(
    "--abstain", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="ACCURACY",
    help="Abstain from uncertain predictions, so that the others reach this target accuracy, such as 0.99, on images "
    "like the validation images.",
)  # fmt: skip
def command(
    runs: tuple[str, ...],
    host: str,
    port: int,
    token_file: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    abstain: float | None,
) -> None:
    """Serve models as a web page and an HTTP API.

    Each RUN is a run directory or an exported ONNX file. The page classifies images that you drop, choose, paste or
    take with a camera. The API includes the protocols of TensorFlow Serving and KServe; the path /docs documents it.
    Ctrl-C or SIGTERM ends the server after the accepted requests have received their responses.
    """
    from saccade.deploy.server.serve import Access, handle_requests
    from saccade.web.limits import Limits
    from saccade.web.server import ListeningSocket

    token = None if token_file is None else _token_in(token_file)
    access = Access(token, allow_host, allow_origin)
    with ListeningSocket(host, port) as listening:

        def ready() -> None:
            print_line(f"serving at {listening.url}", err=True)
            if token is None and host not in ("127.0.0.1", "localhost", "::1"):
                print_line(
                    "note: everyone who can reach this machine can send requests; --token-file FILE requires a token",
                    err=True,
                )

        handle_requests(listening, runs, access, abstain, Limits(), ready)


def _token_in(path: str) -> str:
    from pathlib import Path

    from saccade.errors import SaccadeError

    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise SaccadeError(f"the token in '{path}' can't be read: {error.strerror}") from None
