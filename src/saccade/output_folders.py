"""Folders for results: the one that a caller names, or the first free one of a numbered series. None is overwritten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from saccade.atomic_io import TEMPORARY
from saccade.errors import SaccadeError
from saccade.named_paths import out_path

FREE = "a directory that does not exist yet, or an empty one"
"""Description of a free folder, for errors."""


def require_free(
    out: object,
    error: type[SaccadeError],
    *,
    plural: str,
    expected: str = FREE,
    ignored: Collection[str] = (),
) -> None:
    """Check that the folder that a caller names for results does not exist yet, or is empty.

    Args:
        out: argument of the caller; None, which stands for a numbered folder, is free.
        error: class of the error to raise.
        plural: noun for the results, such as "runs".
        expected: description of the folders that the caller accepts.
        ignored: names of files that a free folder may hold, besides unfinished files.

    Raises:
        SaccadeError: of the class `error`: the folder is not free, or `out` is no path.
    """
    path = out_path(out, error)
    if path is None or not path.exists() or (path.is_dir() and _is_empty(path, ignored)):
        return
    raise error(
        f"'{path}' exists already; nothing is overwritten",
        expected=expected,
        remedy=f"name another one with --out, or omit --out: {plural} are then numbered",
    )


def numbered(parent: Path, prefix: str, first: int = 1) -> Iterator[Path]:
    """Yield the folders `<prefix><n>` in `parent` without end, n counted from `first`."""
    return (parent / f"{prefix.replace('/', '-')}{number}" for number in count(first))


def make_folder(out: str | Path | None, series: Iterable[Path], error: type[SaccadeError]) -> Path:
    """Make the folder `out` unless it exists; for None, the first folder of a series that does not exist.

    Two processes never get the same folder of a series.

    Raises:
        SaccadeError: of the class `error`: the folder can't be made.
    """
    try:
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
            return Path(out)
        for folder in series:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as problem:
        raise error(
            f"the directory '{problem.filename}' can't be made: {problem.strerror}",
            remedy="name another one with --out",
        ) from None
    raise ValueError("a series of folders needs no end")


def _is_empty(folder: Path, ignored: Collection[str]) -> bool:
    return all(path.name in ignored or path.name.startswith(TEMPORARY) for path in folder.iterdir())
