"""Finds labeled images in folders: `CLASS/image`, or `train/CLASS/image` with `test` and `validation` beside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.sources.file_discovery import (
    FolderFiles,
    folder_files,
    note_on_own_folders,
    note_on_side_files,
    visible,
)
from saccade.data.sources.side_files import is_side_file
from saccade.errors import DataError
from saccade.sanitize import counted, printable

_SPLIT_FOLDERS: Mapping[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_LAYOUT = "CLASS/image, or train/CLASS/image with test/CLASS/image and validation/CLASS/image beside it"


class FoundImage(NamedTuple):
    """A file that should be an image: its path below the root, its split and label, its size and time of change."""

    path: str
    split: SplitName
    label: int
    size: int
    changed: int


@dataclass(frozen=True)
class Listing:
    """The files found in a folder that should be images.

    Attributes:
        root: the folder that holds the classes or the splits.
        class_names: sorted by name; what can't be printed is written as codes.
        images: ordered by split, class and path.
        notes: what was left out.
    """

    root: Path
    class_names: tuple[str, ...]
    images: Sequence[FoundImage]
    notes: tuple[str, ...]

    def signature(self) -> str:
        """A hash of all paths, sizes and times: while it stays the same, nothing needs to be read again."""
        lines = [f"{found.path}\0{found.size}\0{found.changed}" for found in self.images]
        lines += [*self.class_names, *self.notes]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def find_images(folder: Path) -> Listing:
    """Lists the files in a folder that should be images, with their splits and classes; opens none of them.

    A folder that holds nothing but another, as archives often do, is passed through. Hidden files are left out, and
    so are files whose names say that they accompany the images, such as LICENSE or labels.csv, and folders that
    Saccade itself made, such as runs.

    Raises:
        DataError: if there are no classes, or only one, or a class without files, or if the splits have different
            classes.
    """
    try:
        root = _pass_through(folder)
        splits, notes = _split_folders(root)
        found = {(split, name): folder_files(path) for split, paths in splits.items() for name, path in paths.items()}
        own = [name for level in _levels(folder, root, splits) for name in _own_folders(level, root)]
    except OSError as error:
        raise DataError(f"the folder {error.filename} can't be read", found=error.strerror) from None
    class_names = _checked_classes(root, splits)
    images: list[FoundImage] = []
    left_out: list[str] = []
    for (split, name), (kept, side_files, _) in found.items():
        left_out += [file.path for file in side_files]
        if split == "train" and not kept:
            raise _class_without_images(name, root)
        label, prefix = class_names.index(name), Path(splits[split][name]).relative_to(root).as_posix()
        images += [FoundImage(f"{prefix}/{file.path}", split, label, file.size, file.changed) for file in kept]
    readable = tuple(map(printable, class_names))
    notes = [*notes, *note_on_own_folders([*own, *_own_folders_in_classes(found, splits, root)])]
    return Listing(root, readable, images, (*map(printable, notes), *note_on_side_files(left_out)))


def _pass_through(folder: Path) -> Path:
    """The innermost folder that still holds all there is; a lone class folder is not entered."""
    root = folder
    while True:
        folders, files, _ = visible(str(root))
        images = [name for name in files if not is_side_file(name)]
        if len(folders) != 1 or images or folders[0].lower() in _SPLIT_FOLDERS:
            break
        root = root / folders[0]
    # What was entered last may be a class: then the folder as given is the one to complain about.
    return root if folders else folder


def _levels(folder: Path, root: Path, splits: Mapping[SplitName, Mapping[str, str]]) -> list[Path]:
    """The folders in which classes, splits or the folder of the data lie: from the one given down to the splits'."""
    passed = [level for level in root.parents if level == folder or folder in level.parents]
    holders = {Path(path).parent for paths in splits.values() for path in paths.values()}
    return [*reversed(passed), root, *sorted(holders - {root})]


def _own_folders(level: Path, root: Path) -> list[str]:
    prefix = "" if level == root or level in root.parents else f"{level.relative_to(root).as_posix()}/"
    return [prefix + name for name in visible(str(level)).own_folders]


def _own_folders_in_classes(
    found: Mapping[tuple[SplitName, str], FolderFiles], splits: Mapping[SplitName, Mapping[str, str]], root: Path
) -> list[str]:
    return [
        f"{Path(splits[split][name]).relative_to(root).as_posix()}/{own}"
        for (split, name), files in found.items()
        for own in files.own_folders
    ]


def _split_folders(root: Path) -> tuple[dict[SplitName, dict[str, str]], list[str]]:
    """For each split, the folders of its classes by name; and notes on what is no part of the data."""
    folders, files, _ = visible(str(root))
    named = [name for name in folders if name.lower() in _SPLIT_FOLDERS]
    holders = named if len(named) == len(folders) else [name for name in named if visible(str(root / name)).folders]
    if not holders or not (len(named) == len(folders) or any(map(_is_train, holders))):
        # Classes then, though one of them may be called "test" or even "train".
        _check_any(root, folders, files)
        return {"train": {name: str(root / name) for name in folders}}, _note_on_strays(files)
    by_split = _splits_by_name(root, holders)
    others = [name for name in folders if name not in holders]
    notes = [f"left out: the folders {_listed(others)} beside {by_split['train']}"] if others else []
    return {split: _class_folders(root / by_split[split]) for split in SPLIT_NAMES if split in by_split}, notes


def _is_train(folder: str) -> bool:
    return _SPLIT_FOLDERS[folder.lower()] == "train"


def _splits_by_name(root: Path, folders: Sequence[str]) -> dict[SplitName, str]:
    by_split: dict[SplitName, str] = {}
    for name in folders:
        split = _SPLIT_FOLDERS[name.lower()]
        if split in by_split:
            raise DataError(
                f"two folders stand for the {split} split",
                found=f"{by_split[split]} and {name} in {root}",
                code="split-twice",
            )
        by_split[split] = name
    if "train" not in by_split:
        raise DataError(
            "there are no images to train with",
            expected="a folder train beside the others",
            found=f"only {_listed(folders)} in {root}",
            code="no-training-split",
        )
    return by_split


def _class_folders(folder: Path) -> dict[str, str]:
    return {name: str(folder / name) for name in visible(str(folder)).folders}


def _check_any(root: Path, folders: Sequence[str], files: Sequence[str]) -> None:
    if folders:
        return
    if not files:
        raise DataError(f"the folder {root} is empty", expected=_LAYOUT, code="empty-folder")
    raise DataError(
        f"there are no classes in {root}",
        expected=f"a folder for each class: {_LAYOUT}",
        found=f"{counted(len(files), 'file')} and no folder",
        remedy="sort the images into one folder for each class",
        code="no-classes",
    )


def _checked_classes(root: Path, splits: Mapping[SplitName, Mapping[str, str]]) -> tuple[str, ...]:
    names = sorted(splits["train"])
    if not names:
        raise DataError(
            f"there are no classes in {root}", expected=f"a folder for each class: {_LAYOUT}", code="no-classes"
        )
    for split, classes in splits.items():
        missing, extra = _listed(set(names) - set(classes)), _listed(set(classes) - set(names))
        if missing or extra:
            differences = ([f"missing: {missing}"] if missing else []) + ([f"extra: {extra}"] if extra else [])
            raise DataError(
                f"the {split} split has other classes than the training split",
                expected=f"the same folders in both: {_listed(names)}",
                found=f"in {split}, {'; '.join(differences)}",
                code="class-missing",
            )
    if len(names) == 1:
        raise DataError(
            f"there is only one class in {root}",
            expected="at least two classes to tell apart",
            found=names[0],
            code="one-class",
        )
    return tuple(names)


def _class_without_images(name: str, root: Path) -> DataError:
    return DataError(
        f"the class {name!r} has no images",
        expected=f"at least one image in each class folder of {root}",
        found="a folder without images",
        remedy="add images to it, or remove the folder",
        code="class-empty",
    )


def _note_on_strays(files: Iterable[str]) -> list[str]:
    strays = [name for name in files if not is_side_file(name)]
    return [f"left out: {counted(len(strays), 'file')} beside the class folders, such as {strays[0]}"] if strays else []


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(map(printable, ordered[:10])) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
