"""What one image may cost. For processes that only decode, and may be lost: one that goes beyond it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

BYTES_A_PIXEL = 4.5
"""What decoding may take for each pixel that the cap allows, beside the process itself: 450 MB for 100 megapixels.

Pillow takes four for colors; an image that needs more, such as the largest ones with transparency, is refused."""
MOST_SECONDS = 10
"""Of processor time that an image may take; the process ends by SIGPROF at the first that takes more."""


def bound_memory(max_pixels: int) -> None:
    """Bounds this process (`RLIMIT_AS`) to the memory that it takes now and `BYTES_A_PIXEL`, where the system can."""
    if not resource:
        return
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return  # macOS neither tells nor bounds it
    limit = pages * resource.getpagesize() + int(BYTES_A_PIXEL * max_pixels)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextmanager
def bounded_time() -> Iterator[None]:
    """Ends this process if what is within takes more than `MOST_SECONDS` of processor time.

    By the signal's own action and not by a handler in Python, which would wait for the decoder's C code to return.
    """
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
