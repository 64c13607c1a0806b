"""Limits of memory and time for one image, in processes that only decode: a process that exceeds a limit ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BYTES_PER_PIXEL = 4.5
"""Memory limit for each pixel of the cap on pixels, in bytes, beside the process itself: 450 MB for 100 megapixels.

Pillow takes four bytes for a color pixel. An image that needs more, such as the largest images with transparency, is
unreadable."""
MAX_SECONDS = 10
"""Time limit for one image, in seconds of processor time; SIGPROF ends the process after that time."""


def limit_memory(max_pixels: int) -> None:
    """Limit the memory of this process to the present size plus `BYTES_PER_PIXEL` for each of `max_pixels`.

    The limit is `RLIMIT_AS`. There is no limit on macOS, which has no `/proc`, and on Windows, which has no `resource`.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + int(BYTES_PER_PIXEL * max_pixels)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextmanager
def time_limit() -> Iterator[None]:
    """End this process if the body takes more than `MAX_SECONDS` of processor time.

    The default action of the signal ends the process. A handler in Python would run only after the decoder's C code has
    returned. There is no limit on Windows, which has no such timer.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
