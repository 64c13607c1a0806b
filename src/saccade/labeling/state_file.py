"""File with the state of a labeling or of an estimate: one process at a time, always with the same images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from saccade.errors import DataError
from saccade.file_lock import try_lock
from saccade.labeling.session import Session
from saccade.sanitize import counted


def lock_state(path: Path) -> ExitStack:
    """Return the held lock of the state of a labeling, so that two processes never answer at once.

    Raises:
        DataError: another process holds the lock, or the folder is missing or may not be written.
    """
    if not path.parent.is_dir():
        raise DataError(f"there is no folder '{path.parent}'", remedy="make it, or name another file with --state")
    try:
        held = try_lock(path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise DataError(f"the state of the labeling can't be written to '{path}'", found=error.strerror) from None
    if held is None:
        raise DataError(f"another process goes on with the labeling in '{path}'", remedy="wait until it has ended")
    return held


def require_same_images(session: Session, hashes: Sequence[str], *, remedy: str) -> None:
    """Require that the images of a labeling are these; close the session if not.

    Args:
        session: state of the labeling.
        hashes: content hash of each image, by position.
        remedy: advice for the error.

    Raises:
        DataError: the images are others.
    """
    before = session.hashes()
    if before == list(hashes):
        return
    new, gone = len(set(hashes) - set(before)), len(set(before) - set(hashes))
    session.close()
    raise DataError(
        "the images are not those with which the labeling began",
        expected=counted(len(before), "image"),
        found=f"{counted(new, 'new image')}, {counted(gone, 'image')} gone" if new or gone else "other names",
        remedy=remedy,
    )
