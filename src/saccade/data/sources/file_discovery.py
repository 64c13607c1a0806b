"""Walks folders that may hold images; those that Saccade itself made are left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from saccade.data.sources.own_folders import is_own_folder
from saccade.data.sources.side_files import is_hidden, is_side_file, suffix_of
from saccade.sanitize import counted


class FoundFile(NamedTuple):
    """A file below a folder: its path relative to it, its size in bytes, and when it was changed, in nanoseconds.

    The time is that of any change, permissions included, which no program can set back. Size and time are 0 for what
    is no regular file, such as a link that leads nowhere; reading it will give the reason.
    """

    path: str
    size: int
    changed: int


class FolderNames(NamedTuple):
    """The names in a folder, without hidden ones; every list is sorted.

    Attributes:
        folders: of folders that Saccade did not make.
        files: of files.
        own_folders: of folders that Saccade made.
    """

    folders: list[str]
    files: list[str]
    own_folders: list[str]


def visible(folder: str) -> FolderNames:
    """List the names in a folder."""
    names = FolderNames([], [], [])
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_hidden(entry.name):
                continue
            if not entry.is_dir():
                names.files.append(entry.name)
            elif is_own_folder(f"{folder}/{entry.name}"):
                names.own_folders.append(entry.name)
            else:
                names.folders.append(entry.name)
    return names


def walk(folder: str, left_out: list[str]) -> Iterator[FoundFile]:
    """All visible files below a folder, in no certain order. Links are followed, but no folder is entered twice.

    Args:
        folder: where to begin.
        left_out: gets the path, relative to `folder`, of each folder that is not entered because Saccade made it.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [(folder, "")]
    while waiting:
        path, prefix = waiting.pop()
        status = os.stat(path)  # noqa: PTH116 - paths stay strings here: there may be a million of them
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    if is_own_folder(entry.path):
                        left_out.append(prefix + entry.name)
                    else:
                        waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield _found(entry, prefix)


class FolderFiles(NamedTuple):
    """What lies below a folder, at any depth; every list is sorted, and holds no hidden files.

    Attributes:
        images: the files that should be images.
        side_files: the files that accompany images.
        own_folders: the paths, relative to the folder, of folders that Saccade made; their files are in no list.
    """

    images: list[FoundFile]
    side_files: list[FoundFile]
    own_folders: list[str]


def folder_files(folder: str) -> FolderFiles:
    """List the files below a folder.

    Training and prediction both ask here, so that both take the same files for images.

    Raises:
        OSError: the folder, or one below the folder, can't be read.
    """
    images: list[FoundFile] = []
    side_files: list[FoundFile] = []
    own: list[str] = []
    for file in sorted(walk(folder, own)):
        (side_files if is_side_file(file.path) else images).append(file)
    return FolderFiles(images, side_files, sorted(own))


def note_on_side_files(paths: Collection[str]) -> tuple[str, ...]:
    """The note that these side files were left out; none where there are none."""
    kinds = sorted({f".{suffix}" if (suffix := suffix_of(path)) else "no suffix" for path in paths})
    return (f"left out: {counted(len(paths), 'file')}, no images by name ({', '.join(kinds)})",) if paths else ()


def note_on_own_folders(names: Sequence[str]) -> list[str]:
    """The note that these folders of Saccade's own were left out; none where there are none."""
    folders = "folder" if len(names) == 1 else "folders"
    return [f"left out: the {folders} {', '.join(names)}, which Saccade made"] if names else []


def _found(entry: os.DirEntry[str], prefix: str) -> FoundFile:
    try:
        status = entry.stat()
    except OSError:
        return FoundFile(prefix + entry.name, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        return FoundFile(prefix + entry.name, 0, 0)
    return FoundFile(prefix + entry.name, status.st_size, status.st_ctime_ns)
