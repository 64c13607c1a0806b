"""Folders that Saccade itself made: runs, audits and so on, which may lie within data but are no part of the data.

Such a folder is known by what is in it, never by its name: a class may be called `runs`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from saccade.data.sources.side_files import is_hidden, is_side_file

MARK = ".saccade"
"""A file that marks a folder in which nothing but images is written, such as that of `saccade explore`."""

_FILES = (
    (MARK,),
    ("recipe.json", "data.json"),  # a run
    ("audit.json", "audit.html"),
    ("comparison.json", "comparison.png"),
    ("tuning.json", "study.lock"),
    ("learning_curve.json", "plan.json"),
)
_PLAN, _PURPOSE = "plan.json", b'"purpose"'  # of a learning curve or a cross-validation that has not ended
_READ = 4096  # bytes of a plan


def is_own_folder(path: str) -> bool:
    """Whether Saccade made a folder: by its files, or because all folders in it are of this kind and no image is.

    False for a folder that can't be read, which is an error elsewhere. Few files are looked at, however many there are.
    """
    try:
        return any(all(map(_file_in(path), names)) for names in _FILES) or _is_begun(path) or _holds_only_own(path)
    except OSError:
        return False


def _file_in(folder: str) -> Callable[[str], bool]:
    return lambda name: os.path.isfile(f"{folder}/{name}")  # noqa: PTH113 - there may be many thousand folders


def _is_begun(path: str) -> bool:
    if not _file_in(path)(_PLAN):
        return False
    with open(f"{path}/{_PLAN}", "rb") as stream:  # noqa: PTH123
        return _PURPOSE in stream.read(_READ)


def _holds_only_own(path: str) -> bool:
    folders = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            # Links are not followed here: they may lead in a circle.
            if entry.is_dir(follow_symlinks=False):
                if not is_own_folder(entry.path):
                    return False
                folders += 1
            elif not is_side_file(entry.name):
                return False
    return folders > 0
