"""Limits of memory and time for one image, in processes that only decode: a process that exceeds a limit ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

BYTES_PER_PIXEL = 4.5
"""Memory limit for each pixel of the cap on pixels, in bytes, beside the process itself: 450 MB for 100 megapixels.

Pillow takes four bytes for a color pixel. An image that needs more, such as the largest images with transparency, is
unreadable."""
BYTES_PER_VIDEO_PIXEL = 10.0
"""The same for AVIF and HEIC, whose decoders keep planes of luma and chroma, and a copy of all pixels."""
MAX_SECONDS = 10
"""Time limit for one image, in seconds of processor time; SIGPROF ends the process after that time."""
_FILE_TYPE_BOX = b"ftyp"  # at the beginning of AVIF and HEIC files (ISO/IEC 14496-12)
_UNCHANGED = nullcontext()


@dataclass(frozen=True)
class MemoryLimits:
    """Limits of the memory of this process, in bytes; 0 where the system has none.

    Attributes:
        usual: limit for most formats.
        video: limit for AVIF and HEIC.
    """

    usual: int = 0
    video: int = 0

    def of(self, contents: bytes) -> AbstractContextManager[None]:
        """Return the context in which an image is decoded: with the limit of its format."""
        return self._video() if self.video and contents[4:8] == _FILE_TYPE_BOX else _UNCHANGED

    @contextmanager
    def _video(self) -> Iterator[None]:
        _set_limit(self.video, self.video)
        try:
            yield
        finally:
            _set_limit(self.usual, self.video)


def limit_memory(max_pixels: int) -> MemoryLimits:
    """Limit the memory of this process to the present size plus `BYTES_PER_PIXEL` for each of `max_pixels`.

    The limit is `RLIMIT_AS`. There is no limit on macOS, which has no `/proc`, and on Windows, which has no `resource`.

    Returns:
        The limits, of which the usual one is set.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return MemoryLimits()
    size = pages * resource.getpagesize()
    limits = MemoryLimits(size + int(BYTES_PER_PIXEL * max_pixels), size + int(BYTES_PER_VIDEO_PIXEL * max_pixels))
    _set_limit(limits.usual, limits.video)
    return limits


def _set_limit(soft: int, hard: int) -> None:
    import resource

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
