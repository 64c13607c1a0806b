"""Search of folders for images, without the folders that Saccade made."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from saccade.data.sources.own_folders import is_own_folder
from saccade.data.sources.side_files import is_hidden, is_side_file, suffix_of
from saccade.errors import DataError
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


@dataclass(slots=True)
class Folder:
    """Contents of a folder without hidden names. All paths are relative to the folder at which the search began.

    Attributes:
        path: path of the folder; "" for the folder at which the search began.
        name: name of the folder.
        folders: folders inside, sorted by name.
        images: files inside that should be images.
        side_files: files inside that accompany images.
        own_folders: paths of folders inside that Saccade made.
        links: paths of links inside to a folder that is already part of the path of the link.
        num_images: number of images at any depth.
    """

    path: str
    name: str
    folders: list[Folder] = field(default_factory=list)
    images: list[FoundFile] = field(default_factory=list)
    side_files: list[FoundFile] = field(default_factory=list)
    own_folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    num_images: int = 0

    @property
    def with_images(self) -> list[Folder]:
        """Folders inside that hold images at any depth."""
        return [folder for folder in self.folders if folder.num_images]

    def below(self) -> Iterator[Folder]:
        """Iterate over the folder and all folders inside, at any depth."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += folder.folders

    def all_images(self) -> list[FoundFile]:
        """Return the images at any depth, sorted by path."""
        return sorted(image for folder in self.below() for image in folder.images)

    def all_side_files(self) -> list[FoundFile]:
        """Return the side files at any depth, sorted by path."""
        return sorted(file for folder in self.below() for file in folder.side_files)

    def all_own_folders(self) -> list[str]:
        """Return the paths of folders at any depth that Saccade made, sorted."""
        return sorted(path for folder in self.below() for path in folder.own_folders)

    def all_links(self) -> list[str]:
        """Return the paths of links at any depth that were not followed, sorted."""
        return sorted(path for folder in self.below() for path in folder.links)


def search_folder(path: str) -> Folder:
    """Search a folder for files, at any depth.

    Links to files and folders are followed, except a link to a folder that is part of the path of the link. Below a
    folder that was reached by a link, no second link to one folder is followed, so that the search ends soon.

    Args:
        path: path of the folder.

    Raises:
        DataError: the folder, or a folder inside, can't be read.
    """
    try:
        return _searched(path)
    except OSError as error:
        raise DataError(f"the folder {error.filename} can't be read", found=error.strerror) from None


def folder_of(name: str, files: Iterable[FoundFile]) -> Folder:
    """Return the contents of a folder from all files below it, as `search_folder` does for a folder on a disk."""
    top = Folder("", name)
    folders = {"": top}
    for file in sorted(files):
        *above, last = file.path.split("/")
        if any(map(is_hidden, (*above, last))):
            continue
        inner = top
        for depth, part in enumerate(above):
            path = "/".join(above[: depth + 1])
            if path not in folders:
                folders[path] = Folder(path, part)
                inner.folders.append(folders[path])
            inner = folders[path]
        (inner.side_files if is_side_file(last) else inner.images).append(file)
    _complete(list(folders.values()))
    return top


def _searched(path: str) -> Folder:
    top = Folder("", os.path.basename(path))  # noqa: PTH119 - strings are faster than Path objects for a million paths
    order = [top]
    entered: set[str] = set()
    waiting = [(top, False)]
    while waiting:
        folder, below_link = waiting.pop()
        with os.scandir(f"{path}/{folder.path}" if folder.path else path) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                found = f"{folder.path}/{entry.name}" if folder.path else entry.name
                if not entry.is_dir():
                    files = folder.side_files if is_side_file(entry.name) else folder.images
                    files.append(_to_found_file(entry.stat, found))
                    continue
                is_link = entry.is_symlink()
                if is_link:
                    target, here = os.path.realpath(entry.path), os.path.realpath(f"{path}/{folder.path}")
                    if _is_in(target, here) or (below_link and target in entered):
                        folder.links.append(found)
                        continue
                    entered.add(target)
                if is_own_folder(entry.path):
                    folder.own_folders.append(found)
                else:
                    inner = Folder(found, entry.name)
                    folder.folders.append(inner)
                    order.append(inner)
                    waiting.append((inner, below_link or is_link))
    _complete(order)
    return top


def _complete(order: Sequence[Folder]) -> None:
    """Sort the folders inside folders, and count images; a folder comes after the folder that holds it."""
    for folder in reversed(order):
        folder.folders.sort(key=lambda inner: inner.name)
        folder.num_images = len(folder.images) + sum(inner.num_images for inner in folder.folders)


def note_on_side_files(paths: Collection[str]) -> tuple[str, ...]:
    """Return the note that side files were left out; nothing for no files."""
    kinds = sorted({f".{suffix}" if (suffix := suffix_of(path)) else "no suffix" for path in paths})
    return (f"left out: {counted(len(paths), 'file')}, no images by name ({', '.join(kinds)})",) if paths else ()


def note_on_own_folders(names: Sequence[str]) -> list[str]:
    """Return the note that folders made by Saccade were left out; nothing for no folders."""
    folders = "folder" if len(names) == 1 else "folders"
    return [f"left out: the {folders} {', '.join(names)}, which Saccade made"] if names else []


def note_on_links(paths: Sequence[str]) -> list[str]:
    """Return the note that links to folders above were left out; nothing for no links."""
    return [f"left out: {', '.join(paths)}, {counted(len(paths), 'link')} to a folder above"] if paths else []


def _is_in(folder: str, inner: str) -> bool:
    """Return whether a folder is another folder or holds that folder; both are real paths."""
    return inner == folder or inner.startswith(folder.rstrip("/") + "/")


def file_at(place: str, path: str) -> FoundFile:
    """Return the file at a place; of size 0 where there is none.

    Args:
        place: path of the file.
        path: path of the file relative to the folder of the search.
    """
    return _to_found_file(lambda: os.stat(place), path)  # noqa: PTH116


def _to_found_file(read_status: Callable[[], os.stat_result], path: str) -> FoundFile:
    try:
        status = read_status()
    except (OSError, ValueError):
        return FoundFile(path, 0, 0)
    if not stat.S_ISREG(status.st_mode):
        return FoundFile(path, 0, 0)
    return FoundFile(path, status.st_size, status.st_ctime_ns)
