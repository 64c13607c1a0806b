"""Ctrl-C during a training: the first requests a stop after the current step, the second quits."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_STOPPING = "stopping after this step and saving; press Ctrl-C again to quit without saving"


class TrainingInterrupt(KeyboardInterrupt):
    """Ctrl-C that ended a training which can be resumed, but has saved no weights.

    Attributes:
        run: run directory.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.run = run


class StopRequest:
    """Request to stop the training.

    Attributes:
        requested: whether the user pressed Ctrl-C.
        message: message for the user who presses Ctrl-C.
    """

    def __init__(self) -> None:
        self.requested = False
        self.message = _STOPPING

    @contextmanager
    def with_message(self, message: str) -> Iterator[None]:
        """Use another message within a part of the training."""
        before, self.message = self.message, message
        try:
            yield
        finally:
            self.message = before

    def after(self, advance: Callable[[int], object]) -> Callable[[int], None]:
        """Return a callback that calls `advance`, and raises KeyboardInterrupt if a stop is requested.

        It is for work before there is anything to save but the entries of the cache.
        """

        def advance_or_stop(images: int) -> None:
            advance(images)
            if self.requested:
                raise KeyboardInterrupt

        return advance_or_stop


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """Convert the first Ctrl-C (SIGINT) into a stop request; a second one raises KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, no stop is ever requested.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if request.requested:
            raise KeyboardInterrupt
        request.requested = True
        _print_message(f"\n{request.message}\n")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)


def _print_message(text: str) -> None:
    """Write to standard error without Python's buffer.

    A signal handler must not use the buffer: if the signal came during a write, Python raises a RuntimeError.
    """
    try:
        os.write(sys.stderr.fileno(), text.encode())
    except (OSError, ValueError):  # the stderr of a notebook has no file descriptor, and no such buffer
        sys.stderr.write(text)
