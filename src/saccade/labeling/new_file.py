"""New files for results: no file is overwritten, none is half-written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.errors import DataError
from saccade.named_paths import named_path


def new_file(out: str | Path, suffixes: tuple[str, ...], *, option: str = "--out", may_exist: bool = False) -> Path:
    """Return the path of a new file.

    Args:
        out: path that a caller names.
        suffixes: suffixes that the name may have.
        option: option that names the path, for errors.
        may_exist: whether there may be such a file.

    Raises:
        DataError: the name has another suffix, its folder is missing, or there is such a file and there may be none.
    """
    path = named_path(out, DataError, what="what is to be written", expected="the path of a file to make")
    remedy = f"name another file with {option}"
    if path.suffix not in suffixes:
        raise DataError(
            f"'{path}' can't be written",
            expected=f"a name that ends in {' or '.join(suffixes)}",
            found=path.suffix or "a name without a suffix",
            remedy=remedy,
        )
    if path.exists() and not may_exist:
        raise DataError(f"'{path}' exists already; nothing is overwritten", remedy=remedy)
    if not path.parent.is_dir():
        raise DataError(f"there is no folder '{path.parent}'", remedy=f"make it, or {remedy}")
    return path


@contextmanager
def atomic_result(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which becomes `path` at the end, as `atomic_write` does.

    Raises:
        DataError: the file can't be written.
    """
    try:
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise DataError(f"'{path}' can't be written: {error.strerror}") from None
