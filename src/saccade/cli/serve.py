"""`saccade serve`."""

from __future__ import annotations

import click

from saccade.cli.output import print_line


@click.command("serve")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0: reachable by others."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--token-file", type=click.Path(), help="Ask every request for the token in this file.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A further name by which the server may be called.")
@click.option(
    "--abstain", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="PART",
    help="Abstain so that at least this part of the predictions is correct, such as 0.99, on images drawn like the "
    "validation images.",
)  # fmt: skip
def command(
    runs: tuple[str, ...],
    host: str,
    port: int,
    token_file: str | None,
    allow_host: tuple[str, ...],
    abstain: float | None,
) -> None:
    """Answer requests with the models of RUNs, runs or exported ONNX files: a page, and an API.

    The page is for images that you drop, choose, paste or take. The API speaks the protocols of TensorFlow Serving
    and KServe; the path /docs lists it. Ctrl-C or SIGTERM ends it once everything that was accepted is answered.
    """
    from saccade.deploy.server.serve import ListeningSocket, handle_requests
    from saccade.web.limits import Limits

    token = None if token_file is None else _token_in(token_file)
    with ListeningSocket(host, port) as listening:

        def ready() -> None:
            print_line(f"serving at {listening.url}", err=True)
            if token is None and host not in ("127.0.0.1", "localhost", "::1"):
                print_line(
                    "note: whoever can reach this machine can ask: --token-file FILE makes them show a token", err=True
                )

        handle_requests(listening, runs, token, allow_host, abstain, Limits(), ready)


def _token_in(path: str) -> str:
    from pathlib import Path

    from saccade.errors import SaccadeError

    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise SaccadeError(f"the token in '{path}' can't be read: {error.strerror}") from None
