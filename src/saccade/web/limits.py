"""What a server lets itself in for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a server lets itself in for.

    Attributes:
        body_bytes: of a request; more is answered with 413, as soon as so many have come.
        images: in a request; more is answered with 413.
        waiting_images: accepted and not yet answered, of all requests together; more is answered with 503.
        waiting_bytes: of the bodies of all requests that are not yet answered; more is answered with 503.
        requests: not yet answered; more is answered with 503, before their bodies are read.
        connections: open; of more, each is closed at once.
        seconds: from the beginning of a request to its answer; after that it is answered with 504.
        patience: seconds in which a client must have sent a request, or taken an answer, before it is cut off.
    """

    body_bytes: int = 16_000_000
    images: int = 256
    waiting_images: int = 1024
    waiting_bytes: int = 256_000_000
    requests: int = 512
    connections: int = 1024
    seconds: float = 30.0
    patience: float = 20.0
