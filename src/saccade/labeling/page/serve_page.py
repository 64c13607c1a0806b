"""Server of the page of `saccade label`, on this machine only."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from saccade.labeling.embedded_data import EmbeddedData
from saccade.labeling.page.app import make_app
from saccade.labeling.page.desk import Desk
from saccade.labeling.page.original_images import OriginalImages
from saccade.labeling.session import Session
from saccade.labeling.steps import LabelingSteps
from saccade.training.transfer_learning.features import Features
from saccade.web.limits import Limits
from saccade.web.middleware import ServerState
from saccade.web.server import ListeningSocket, check_no_event_loop, run_server

_HOST = "127.0.0.1"


def listen(port: int) -> ListeningSocket:
    """Return a socket that listens on this machine only, at a port; 0: any free port.

    Raises:
        SaccadeError: the port can't be used.
    """
    check_no_event_loop()
    return ListeningSocket(_HOST, port)


def serve_page(
    found: EmbeddedData,
    state_file: Path,
    components: Features,
    publish: Callable[[LabelingSteps, Session], None],
    *,
    listening: ListeningSocket,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until the process gets SIGTERM or SIGINT; answers are on the disk before the page shows the next.

    Args:
        found: images of the heap.
        state_file: state of the labeling.
        components: principal components of the features of the images.
        publish: function that writes the results of a labeling that is done.
        listening: socket of the server.
        ready: function that is called with the address of the page, which contains the token.
    """
    token, state = secrets.token_urlsafe(24), ServerState()
    with (
        closing(OriginalImages(found)) as images,
        closing(Desk(found, state_file, components, publish)) as desk,
    ):
        app = make_app(desk, images, state, host=listening.host, token=token)
        # After the number sign, browsers keep the token to themselves: it is not part of a request.
        run_server(app, listening, Limits(), state, lambda: ready(f"{listening.url}/#{token}"))
