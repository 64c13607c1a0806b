"""Files of the images that a label file names: by path, by name, or by id without a suffix."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from saccade.data.dataset import SplitName
from saccade.data.sources.file_discovery import Folder, FoundFile, file_at
from saccade.data.sources.folder_names import split_folder_name
from saccade.data.sources.label_files.rows import LabeledRow, listed
from saccade.data.sources.label_files.table import shown, unusable
from saccade.data.sources.remote_images import RemoteFolders, is_remote
from saccade.errors import DataError

_MAKE_RELATIVE = "make the paths relative to the folder of the images, and name this folder with --root"
_OF_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class ImagePaths:
    """Search of images in a folder.

    Args:
        root: path of the folder.
        found: contents of the folder.
        label_file: path of the label file, for messages.
        split: split of the file by its name; images of a name that several folders have are in the folder of the split.
        allow_outside: whether images may lie outside the folder.
    """

    def __init__(
        self, root: Path, found: Folder, label_file: Path, split: SplitName | None = None, *, allow_outside: bool
    ) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - keeps symbolic links
        self._label_file = label_file
        self._split = split
        self._allow_outside = allow_outside
        self._files = {file.path: file for file in found.all_images()}
        by_name: dict[str, list[str]] = defaultdict(list)
        by_stem: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            name = path.rpartition("/")[2]
            by_name[name].append(path)
            by_stem[name.rpartition(".")[0] or name].append(path)
        self._by_name, self._by_stem = by_name, by_stem
        self._by_form: dict[str, list[str]] = {}
        self._remote = RemoteFolders()

    @property
    def all_paths(self) -> Sequence[str]:
        """Paths of all images in the folder, relative to the folder."""
        return list(self._files)

    def find(self, row: LabeledRow) -> FoundFile:
        """Return the file of an image; a file of size 0 at the named path where there is none.

        Raises:
            DataError: the image lies outside the folder, or is neither on this machine nor in an object store that can
                be read, or several files have its name.
        """
        if is_remote(row.image):
            return self._remote.find(row.image)
        if _URL.match(row.image):
            raise self._error(
                row,
                "paths of files on this machine, or addresses such as s3://BUCKET/cat.jpg",
                "download the images first",
            )
        path = self._relative(row)
        if path in self._files:
            return self._files[path]
        if _is_outside(path):
            return file_at(f"{self._root}/{path}", path)
        for index in (self._by_name, self._by_stem):
            candidates = index.get(path) or self._ending_with(path, index)
            candidates = self._of_split(candidates, row.split or self._split) if len(candidates) > 1 else candidates
            if len(candidates) > 1:
                example = " and ".join(sorted(candidates)[:2])
                raise self._error(row, f"one file of this name, not {example}", "write the whole path into the file")
            if candidates:
                return self._files[candidates[0]]
        return self._in_other_form(path) or file_at(f"{self._root}/{path}", path)

    def _of_split(self, candidates: list[str], split: SplitName | None) -> list[str]:
        """Return the files in the folder of a split, such as `train/1.png`; all files if there is no such folder."""
        folders = {path: split_folder_name(path.partition("/")[0]) for path in candidates}
        found = [path for path, meaning in folders.items() if meaning is not None and meaning.split == split]
        return found or candidates

    def _in_other_form(self, path: str) -> FoundFile | None:
        """Return the only file whose path or name differs only in case or in the form of Unicode, or None."""
        if not self._by_form:
            for file in self._files:
                for form in {file, file.rpartition("/")[2]}:
                    self._by_form.setdefault(_plain_form(form), []).append(file)
        found = self._by_form.get(_plain_form(path), [])
        return self._files[found[0]] if len(found) == 1 else None

    def named_by(self, text: str) -> str | None:
        """Return the path of the only image that a text names, in any case of the letters; None if there is none."""
        try:
            found = self.find(LabeledRow(0, text, "", None, "")) if text and not is_remote(text) else None
        except DataError:
            return None
        return found.path if found is not None and found.size else None

    def _relative(self, row: LabeledRow) -> str:
        """Return the path relative to the folder, with `/` as separator."""
        path = self._path(row.image)
        if "\\" in path and path not in self._files:  # written on Windows, unless a file is named so
            path = self._path(path.replace("\\", "/"))
        expected = f"images in the folder {self._root}"
        if _OF_WINDOWS.match(row.image):
            raise self._error(row, expected, _MAKE_RELATIVE)
        if _is_outside(path) and not self._allow_outside:
            is_elsewhere = row.image.startswith("/") and not Path(row.image).exists()
            allow = "name the folder of the images with --root, or allow images anywhere with --allow-outside"
            raise self._error(row, expected, _MAKE_RELATIVE if is_elsewhere else allow)
        return path

    def _path(self, text: str) -> str:
        return os.path.relpath(PurePosixPath(self._root, text), self._root)

    def _ending_with(self, path: str, index: dict[str, list[str]]) -> list[str]:
        """Return the files whose path ends with a path of several parts, such as `train/cat/1`."""
        name = path.rpartition("/")[2]
        if name == path:
            return []
        return [
            found
            for found in index.get(name, ())
            if f"/{found}".endswith(f"/{path}") or f"/{found.rpartition('.')[0]}".endswith(f"/{path}")
        ]

    def _error(self, row: LabeledRow, expected: str, remedy: str | None) -> DataError:
        return unusable(self._label_file, expected, f"{shown(row.image)} in line {row.number}", remedy)


def _plain_form(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _is_outside(path: str) -> bool:
    return path == ".." or path.startswith("../")


def note_on_images_without_row(paths: Sequence[str], label_file: str) -> list[str]:
    """Return the note on images that no row names; nothing for no images."""
    if not paths:
        return []
    noun = "image" if len(paths) == 1 else "images"
    return [f"left out: {len(paths):,} {noun} without a row in {label_file}: {listed(sorted(paths))}"]
