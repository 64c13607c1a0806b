"""Paths as callers name them: what can't be one is refused alike everywhere, before any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from saccade.errors import SaccadeError, type_in_words
from saccade.sanitize import printable, shortened

_SHOWN = 100  # characters of a path that is too long


def named_path(value: object, error: type[SaccadeError], *, what: str, expected: str) -> Path:
    """The path that a caller names.

    Args:
        value: what the caller gave.
        error: the kind of error that refuses it.
        what: is named, such as "a run".
        expected: what should have been given, in words.

    Raises:
        SaccadeError: of the kind `error`: it is no path; it is empty, as of a variable that is not set (as a path it
            would be the current folder); or it is longer than the file system allows.
    """
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(name, str):
        raise error(f"{what} is named by its path", expected=expected, found=type_in_words(value))
    if not name:
        raise error(f"{what} has no name", expected=expected, found="''")
    if is_too_long(name):
        found = f"{len(os.fsencode(name)):,} bytes: '{shortened(printable(name), _SHOWN)}'"
        raise error(f"the path of {what} is longer than this system allows", expected=expected, found=found)
    return Path(name)


def out_path(out: object, error: type[SaccadeError]) -> Path | None:
    """Where a caller wants results written; None where that is not said. Errors as of `named_path`."""
    if out is None:
        return None
    return named_path(out, error, what="what is to be written", expected="the path of a file or folder to make")


def is_too_long(path: str) -> bool:
    """Whether a path, or a name in it, is longer than the file system allows: mostly 255 bytes a name."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:  # a null character
        return False
    return False
