"""Search of folders for images, without the folders that Saccade made."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from saccade.data.sources.own_folders import is_own_folder
from saccade.data.sources.side_files import is_hidden, is_side_file, suffix_of
from saccade.sanitize import counted


class FoundFile(NamedTuple):
    """File below a folder.

    Attributes:
        path: path relative to the folder.
        size: size in bytes; 0 for anything but a regular file, such as a broken link.
        changed: time of the last change of the inode (ctime), which no program can set, in nanoseconds; 0 for anything
            but a regular file.
    """

    path: str
    size: int
    changed: int


class FolderNames(NamedTuple):
    """Sorted names in a folder, without hidden names.

    Attributes:
        folders: names of folders that Saccade did not make.
        files: names of files.
        own_folders: names of folders that Saccade made.
    """

    folders: list[str]
    files: list[str]
    own_folders: list[str]


def list_folder(folder: str) -> FolderNames:
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
    """Iterate over all files below a folder that are not hidden, in any order.

    Links are followed, but no folder is entered twice.

    Args:
        folder: path of the folder.
        left_out: list to which the paths, relative to `folder`, of folders that Saccade made are appended.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [(folder, "")]
    while waiting:
        path, prefix = waiting.pop()
        status = os.stat(path)  # noqa: PTH116 - strings are faster than Path objects for a million paths
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
                    yield _to_found_file(entry, prefix)


class FolderFiles(NamedTuple):
    """Files below a folder, at any depth, in sorted lists without hidden files.

    Attributes:
        images: files that should be images.
        side_files: files that accompany images.
        own_folders: paths, relative to the folder, of folders that Saccade made, whose files are in no list.
    """

    images: list[FoundFile]
    side_files: list[FoundFile]
    own_folders: list[str]


def folder_files(folder: str) -> FolderFiles:
    """List the files below a folder; training and prediction use the same list.

    Raises:
        OSError: the folder, or a folder below, can't be read.
    """
    images: list[FoundFile] = []
    side_files: list[FoundFile] = []
    own_folders: list[str] = []
    for file in sorted(walk(folder, own_folders)):
        (side_files if is_side_file(file.path) else images).append(file)
    return FolderFiles(images, side_files, sorted(own_folders))


def note_on_side_files(paths: Collection[str]) -> tuple[str, ...]:
    """Return the note that side files were left out; nothing for no files."""
    kinds = sorted({f".{suffix}" if (suffix := suffix_of(path)) else "no suffix" for path in paths})
    return (f"left out: {counted(len(paths), 'file')}, no images by name ({', '.join(kinds)})",) if paths else ()


def note_on_own_folders(names: Sequence[str]) -> list[str]:
    """Return the note that folders made by Saccade were left out; nothing for no folders."""
    folders = "folder" if len(names) == 1 else "folders"
    return [f"left out: the {folders} {', '.join(names)}, which Saccade made"] if names else []


def _to_found_file(entry: os.DirEntry[str], prefix: str) -> FoundFile:
    try:
        status = entry.stat()
    except OSError:
        return FoundFile(prefix + entry.name, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        return FoundFile(prefix + entry.name, 0, 0)
    return FoundFile(prefix + entry.name, status.st_size, status.st_ctime_ns)
