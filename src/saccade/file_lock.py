"""Exclusive locks between processes. The system releases the lock of a process that ends, also after `kill -9`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout


def try_lock(path: Path) -> ExitStack | None:
    """Acquire the lock on a file, which is created where there is none, without waiting.

    Returns:
        The held lock, which `close` or the end of a `with` block releases; None where another process holds the lock.

    Raises:
        OSError: the file can't be opened for writing.
    """
    lock = FileLock(path, blocking=False, thread_local=False)
    held = ExitStack()
    try:
        held.enter_context(lock)
    except Timeout:
        return None
    return held
