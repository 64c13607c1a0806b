"""File with the state of a labeling or of an estimate: one process at a time, always with the same images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from saccade.errors import DataError
from saccade.file_lock import try_lock
from saccade.labeling.session import Session
from saccade.sanitize import counted, printable


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


def require_same_images(session: Session, names: Sequence[str], hashes: Sequence[str], *, remedy: str) -> None:
    """Require that the images of a labeling are these; close the session if not.

    Args:
        session: state of the labeling.
        names: path of each image, by position.
        hashes: content hash of each image, by position.
        remedy: advice for the error.

    Raises:
        DataError: the images are others.
    """
    before = session.hashes()
    if before == list(hashes):
        return
    new = [name for name, content in zip(names, hashes, strict=True) if content not in set(before)]
    gone = [name for name, content in zip(session.paths(), before, strict=True) if content not in set(hashes)]
    session.close()
    changes = [_named(new, "new image"), _named(gone, "image", " gone")]
    raise DataError(
        "the images are not those with which the labeling began",
        expected=counted(len(before), "image"),
        found="; ".join(filter(None, changes)) or "other names",
        remedy=remedy,
    )


def _named(names: Sequence[str], what: str, end: str = "") -> str:
    return f"{counted(len(names), what)}{end}, such as {printable(names[0])}" if names else ""
