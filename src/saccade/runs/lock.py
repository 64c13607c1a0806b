"""The lock on a run directory: one training at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from saccade.errors import RunError
from saccade.file_lock import try_lock

_LOCK = "training.lock"
# A file of its own: Windows lets no other process read a locked file.
_OWNER = "training.pid"


@contextmanager
def locked_for_training(run: Path) -> Iterator[None]:
    """Hold the lock of a run. The lock is released when this process ends or is killed.

    Raises:
        RunError: another process, which is named by its id, trains this run; or the directory can't be written.
    """
    path, owner = run / _LOCK, run / _OWNER
    try:
        held = try_lock(path)
    except OSError as error:
        raise RunError(f"the run '{run}' can't be written: {error.strerror}") from None
    if held is None:
        raise RunError(
            f"the run '{run}' is being trained by another process",
            found=f"process {_read_owner(owner)}",
            remedy="wait until it has ended, or stop it",
        )
    with held:
        with suppress(OSError):  # a full disk: the lock is held all the same
            owner.write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            # Removed before the lock is released: afterward the files may be another process's.
            for file in (owner, path):
                with suppress(OSError):
                    file.unlink()


def _read_owner(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()[:32] or "unknown"
    return "unknown"
