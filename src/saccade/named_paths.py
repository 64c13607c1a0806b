"""Paths that callers name: a value that can't be a path is rejected in one way everywhere, before any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from saccade.errors import SaccadeError, type_in_words
from saccade.sanitize import printable, shortened

_MAX_CHARACTERS = 100  # of a too long path in an error


def path_text(value: object, error: type[SaccadeError], *, what: str, expected: str, remedy: str | None = None) -> str:
    """Return the path or pattern that a caller names, as the caller wrote it.

    Args:
        value: argument of the caller.
        error: class of the error to raise.
        what: noun for the argument, such as "a run".
        expected: description of a valid argument.
        remedy: advice for an argument of another type.

    Raises:
        SaccadeError: of the class `error`: the value is no path, or it is empty, as a shell variable that is not set
            (as a path it would be the current folder).
    """
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(name, str):
        raise error(f"{what} must be given by its path", expected=expected, found=type_in_words(value), remedy=remedy)
    if not name:
        raise error(f"{what} has no name", expected=expected, found="''")
    return name


def named_path(value: object, error: type[SaccadeError], *, what: str, expected: str) -> Path:
    """Return the path that a caller names. The arguments are those of `path_text`.

    Raises:
        SaccadeError: of the class `error`: as for `path_text`, or the path is longer than the file system allows.
    """
    name = path_text(value, error, what=what, expected=expected)
    if is_too_long(name):
        found = f"{len(os.fsencode(name)):,} bytes: '{shortened(printable(name), _MAX_CHARACTERS)}'"
        raise error(f"the path of {what} is longer than this system allows", expected=expected, found=found)
    return Path(name)


def out_path(out: object, error: type[SaccadeError]) -> Path | None:
    """Return the path of the results that a caller names; None for None. Raises the errors of `named_path`."""
    if out is None:
        return None
    return named_path(out, error, what="what is to be written", expected="the path of a file or folder to make")


def is_too_long(path: str) -> bool:
    """Return whether a path, or a name in it, is longer than the file system allows: mostly 255 bytes a name."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:  # a null character
        return False
    return False
