"""The directory of an audit: a new one, never one that holds anything."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.errors import DataError
from saccade.named_paths import out_path
from saccade.whole_files import next_free_folder


def check_free(out: str | Path | None) -> None:
    """Fails before the work where `make_folder` would fail after it.

    Raises:
        DataError: `out` exists and is not an empty directory.
    """
    path = out_path(out, DataError)
    if path is None:
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"'{path}' exists already; nothing is overwritten", remedy="name another directory with --out")


def make_folder(out: str | Path | None, name: str) -> Path:
    """Makes the directory asked for, or the first free `audits/<name>-<n>`.

    Raises:
        DataError: it is in the way, or can't be made.
    """
    check_free(out)
    try:
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
            return Path(out)
        return next_free_folder(Path("audits"), re.sub(r"[^\w.-]+", "-", name))
    except OSError as error:
        raise DataError(f"the directory for the audit can't be made: {error.strerror}") from None
