"""The lock on a run directory: one training at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from saccade.errors import RunError

_NAME = "training.lock"


@contextmanager
def locked_for_training(run: Path) -> Iterator[None]:
    """Holds the run's lock, a file with this process's id; the system gives it back when the process ends or is killed.

    Raises:
        RunError: another process trains this run; its id is told. Or the directory can't be written.
    """
    path = run / _NAME
    try:
        descriptor = _open(path)
    except OSError as error:
        raise RunError(f"the run '{run}' can't be written: {error.strerror}") from None
    try:
        # On a full disk it is a lock all the same, and one that can't be removed is nobody's once it is closed.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _open(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise RunError(
                f"the run '{path.parent}' is being trained by another process",
                found=f"process {owner or 'unknown'}",
                remedy="wait until it has ended, or stop it",
            ) from None
        # The process that held it may have removed it meanwhile: then this is the lock of a file that is no more.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)
