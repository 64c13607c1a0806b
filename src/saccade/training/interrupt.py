"""Ctrl-C during a training: the first asks it to stop after the running step, the second quits."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the user asked the training to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """Turns the first Ctrl-C (SIGINT) into a request to stop; a second one raises KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if request.requested:
            raise KeyboardInterrupt
        request.requested = True
        _print_message("\nstopping after this step and saving; press Ctrl-C again to quit without saving\n")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)


def _print_message(text: str) -> None:
    """Past Python's own buffer of stderr, which refuses to be entered while the training is writing into it."""
    try:
        os.write(sys.stderr.fileno(), text.encode())
    except (OSError, ValueError):  # a notebook's has no descriptor, and no such buffer
        sys.stderr.write(text)
