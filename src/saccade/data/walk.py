"""Walks folders and tells candidate pictures from what lies beside them."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

_SIDE_SUFFIXES = frozenset(
    {"cfg", "csv", "db", "htm", "html", "ini", "json", "jsonl", "lock", "log", "mat", "md", "npy", "npz", "py", "rst"}
    | {"tsv", "txt", "xml", "yaml", "yml"}
)
_SIDE_NAMES = frozenset({"authors", "changelog", "copying", "license", "licence", "makefile", "notice", "readme"})
_HIDDEN_NAMES = frozenset({"__macosx", "desktop.ini", "thumbs.db"})


class FoundFile(NamedTuple):
    """A file below a folder: its path relative to it, its size in bytes, and when it was changed, in nanoseconds.

    The time is that of any change, permissions included, which no program can set back. Size and time are 0 for what
    is no regular file, such as a link that leads nowhere; reading it will give the reason.
    """

    path: str
    size: int
    changed: int


def is_hidden(name: str) -> bool:
    """Whether systems keep their own notes under this name."""
    return name.startswith(".") or name.lower() in _HIDDEN_NAMES


def suffix_of(path: str) -> str:
    """What follows the last full stop of a file's name, in lower case; empty where there is none."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() if "." in path else ""


def is_side_file(path: str) -> bool:
    """Whether a file's name says that it accompanies pictures without being one."""
    return suffix_of(path) in _SIDE_SUFFIXES or path.rpartition("/")[2].partition(".")[0].lower() in _SIDE_NAMES


def visible(folder: str) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder, each sorted, without hidden ones."""
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_hidden(entry.name):
                (folders if entry.is_dir() else files).append(entry.name)
    return sorted(folders), sorted(files)


def walk(folder: str) -> Iterator[FoundFile]:
    """All visible files below a folder, in no certain order. Links are followed, but no folder is entered twice."""
    entered: set[tuple[int, int]] = set()
    waiting = [(folder, "")]
    while waiting:
        path, prefix = waiting.pop()
        facts = os.stat(path)  # noqa: PTH116 - paths stay strings here: there may be a million of them
        if (facts.st_dev, facts.st_ino) in entered:
            continue
        entered.add((facts.st_dev, facts.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield _found(entry, prefix)


def image_files(folder: str) -> tuple[list[FoundFile], list[FoundFile]]:
    """The files below a folder that should be images, and the files that accompany images, each sorted by path.

    Training and prediction both ask here, so that both take the same files for images. No list holds hidden files.

    Raises:
        OSError: the folder, or one below the folder, can't be read.
    """
    images: list[FoundFile] = []
    side_files: list[FoundFile] = []
    for file in sorted(walk(folder)):
        (side_files if is_side_file(file.path) else images).append(file)
    return images, side_files


def note_on_side_files(paths: Collection[str]) -> tuple[str, ...]:
    """The note that these side files were left out; none where there are none."""
    kinds = sorted({f".{suffix}" if (suffix := suffix_of(path)) else "no suffix" for path in paths})
    return (f"left out: {counted_files(len(paths))}, no pictures by name ({', '.join(kinds)})",) if paths else ()


def counted_files(count: int) -> str:
    """A number of files in words: "1 file", "2 files"."""
    return f"{count:,} file{'' if count == 1 else 's'}"


def _found(entry: os.DirEntry[str], prefix: str) -> FoundFile:
    try:
        facts = entry.stat()
    except OSError:
        return FoundFile(prefix + entry.name, 0, 0)
    if not stat.S_ISREG(facts.st_mode):
        return FoundFile(prefix + entry.name, 0, 0)
    return FoundFile(prefix + entry.name, facts.st_size, facts.st_ctime_ns)
