"""Limits of a server: sizes, counts and timeouts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Attributes:
        body_bytes: largest body of a request, in bytes; a larger body gets status 413 as soon as the limit is reached.
        images: most images in a request; more get status 413.
        waiting_images: most images, of all requests, that wait for their probabilities; more get status 503.
        waiting_bytes: most bytes of the bodies of all open requests; more get status 503.
        requests: most open requests; more get status 503 before their bodies are read.
        connections: most open connections; each further connection is closed at once.
        response_seconds: timeout from the start of a request to its response; afterward the request gets status 504.
        client_seconds: timeout for a client to send a request or to receive a response; afterward the connection is
            closed.
    """

    body_bytes: int = 16_000_000
    images: int = 256
    waiting_images: int = 1024
    waiting_bytes: int = 256_000_000
    requests: int = 512
    connections: int = 1024
    response_seconds: float = 30.0
    client_seconds: float = 20.0
