"""Labels from the names of files, such as "cat" from `cat.0.jpg`, by a regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.sources.file_discovery import Folder, FoundFile
from saccade.data.sources.folder_names import class_name_of_folder, split_folder_name
from saccade.errors import DataError
from saccade.sanitize import counted, printable

SUGGESTED_PATTERN = r"^(.+?)[ ._(-]*[0-9]+[)]?[.][^.]+$"
"""Pattern of names that consist of a class and a number, such as `cat.0.jpg`, `red fox (12).png` and `3_017.jpeg`."""

_MIN_IMAGES = 2


@dataclass(frozen=True)
class NamedFiles:
    """Images whose names give their classes.

    Attributes:
        splits: images of each class, by split and class name.
        split_names: name of the folder of each split; empty where the data has no folders of splits.
        notes: messages about files that were left out.
    """

    splits: Mapping[SplitName, Mapping[str, Sequence[FoundFile]]]
    split_names: Mapping[SplitName, str]
    notes: tuple[str, ...]


def find_named_files(top: Folder, pattern: str, place: str) -> NamedFiles:
    """Find the images of each class by their names, at any depth. Folders such as train and test are splits.

    Args:
        top: contents of the data folder.
        pattern: regular expression with one group, searched in the name of each file.
        place: path of the data, for messages.

    Raises:
        DataError: no name matches.
    """
    splits = _split_folders(top, pattern)
    found = {split: _by_class(folder.all_images(), pattern) for split, folder in splits.items()} or {
        "train": _by_class(top.all_images(), pattern)
    }
    if not any(found["train"].values()):
        example = next((file.path for file in top.all_images()), None)
        raise DataError(
            f"no name of a file in {printable(place)} matches the regular expression for labels",
            expected=f"names that match {pattern!r}",
            found=f"names such as {printable(example)}" if example else "no file that may be an image",
            code="no-classes",
        )
    kept = {file for classes in found.values() for files in classes.values() for file in files}
    others = [file.path for file in top.all_images() if file not in kept]
    names = {split: folder.name for split, folder in splits.items()}
    notes = (
        (f"left out: {counted(len(others), 'file')} whose name gives no label, such as {printable(others[0])}",)
        if others
        else ()
    )
    return NamedFiles(found, names, notes)


def suggest_pattern(names: Iterable[str]) -> str | None:
    """Return a regular expression that finds classes in the names of files; None if the names have no such form."""
    matches = [None if re.match(r"\d+[.]", name) else re.search(SUGGESTED_PATTERN, name) for name in names]
    classes = {match[1].casefold() for match in matches if match}
    if len(classes) > 1 and all(matches) and len(matches) >= _MIN_IMAGES * len(classes):
        return SUGGESTED_PATTERN
    return None


def _split_folders(top: Folder, pattern: str) -> dict[SplitName, Folder]:
    """Return the folders of the splits; empty unless one of them holds training images with labels."""
    found: dict[SplitName, Folder] = {}
    for folder in top.with_images:
        meaning = split_folder_name(folder.name)
        if meaning is None or not _by_class(folder.all_images(), pattern):
            continue
        if meaning.split in found:
            raise DataError(
                f"two folders stand for the {meaning.split} split",
                found=f"{printable(found[meaning.split].name)} and {printable(folder.name)}",
                code="split-twice",
            )
        found[meaning.split] = folder
    return {split: found[split] for split in SPLIT_NAMES if split in found} if "train" in found else {}


def _by_class(files: Iterable[FoundFile], pattern: str) -> dict[str, list[FoundFile]]:
    classes: dict[str, list[FoundFile]] = {}
    compiled = re.compile(pattern)
    for file in files:
        match = compiled.search(file.path.rpartition("/")[2])
        if match and match[1]:
            classes.setdefault(class_name_of_folder(match[1]), []).append(file)
    return classes
