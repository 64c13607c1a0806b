"""Detection of folders that Saccade made, such as runs and audits, which may be inside a data folder.

A folder is detected by its files, never by its name: a class may be called `runs`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from saccade.data.sources.side_files import is_hidden, is_side_file

MARK = ".saccade"
"""Name of the file that marks a folder with nothing but images, such as the folder of `saccade explore`."""

_FILES = (
    (MARK,),
    ("recipe.json", "data.json"),  # a run
    ("audit.json", "audit.html"),
    ("comparison.json", "comparison.png"),
    ("tuning.json", "study.lock"),
    ("learning_curve.json", "plan.json"),
    ("labels.txt", "metadata.json", "example.py"),  # beside an export
    ("saved_model.pb", "fingerprint.pb"),  # an export
)
_PLAN, _PURPOSE = "plan.json", b'"purpose"'  # of an unfinished learning curve or cross-validation
_PLAN_HEAD = 4096  # bytes


def is_own_folder(path: str) -> bool:
    """Return whether Saccade made a folder: by its files, or because it holds only such folders and side files.

    The result is False for a folder that can't be read; other functions report that error. The search stops at the
    first other file or folder.
    """
    try:
        return (
            any(all(map(_file_in(path), names)) for names in _FILES)
            or _is_unfinished_experiment(path)
            or _holds_only_own_folders(path)
        )
    except OSError:
        return False


def _file_in(folder: str) -> Callable[[str], bool]:
    return lambda name: os.path.isfile(f"{folder}/{name}")  # noqa: PTH113 - there may be many thousand folders


def _is_unfinished_experiment(path: str) -> bool:
    if not _file_in(path)(_PLAN):
        return False
    with open(f"{path}/{_PLAN}", "rb") as stream:  # noqa: PTH123
        return _PURPOSE in stream.read(_PLAN_HEAD)


def _holds_only_own_folders(path: str) -> bool:
    folders = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if is_hidden(entry.name):
                continue
            # Links are not followed, because links may form a cycle.
            if entry.is_dir(follow_symlinks=False):
                if not is_own_folder(entry.path):
                    return False
                folders += 1
            elif not is_side_file(entry.name):
                return False
    return folders > 0
