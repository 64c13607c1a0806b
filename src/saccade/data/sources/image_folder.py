"""Search for labeled images in folders: `CLASS/image`, or `train/CLASS/image`, `validation/…` and `test/…`."""

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
    list_folder,
    note_on_own_folders,
    note_on_side_files,
)
from saccade.data.sources.folder_names import split_of_folder
from saccade.data.sources.side_files import is_side_file
from saccade.errors import DataError
from saccade.sanitize import counted, printable

_LAYOUT = "CLASS/image, or train/CLASS/image with test/CLASS/image and validation/CLASS/image beside it"


class FoundImage(NamedTuple):
    """File that should be an image.

    Attributes:
        path: path relative to the root.
        split: split of the image.
        label: label of the image.
        size: size as in `FoundFile`.
        changed: time of the last change as in `FoundFile`.
    """

    path: str
    split: SplitName
    label: int
    size: int
    changed: int


@dataclass(frozen=True)
class Listing:
    """Files in a folder that should be images.

    Attributes:
        root: folder that holds the classes or the splits.
        class_names: names of the classes, sorted, with unprintable characters as codes.
        images: files, ordered by split, class and path.
        notes: messages about files and folders that were left out.
        strays: messages, among the notes, about files and folders beside the classes or the splits.
    """

    root: Path
    class_names: tuple[str, ...]
    images: Sequence[FoundImage]
    notes: tuple[str, ...]
    strays: tuple[str, ...]

    def signature(self) -> str:
        """Return a hash of all paths, sizes and times, which stays equal while no file changes."""
        lines = [f"{found.path}\0{found.size}\0{found.changed}" for found in self.images]
        lines += [*self.class_names, *self.notes]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def find_images(folder: Path) -> Listing:
    """List the files in a folder that should be images, with their splits and classes, without opening the files.

    A folder that holds nothing but one other folder, as in many archives, is skipped. Hidden files, side files such as
    LICENSE or labels.csv, and folders that Saccade made, such as runs, are left out.

    Raises:
        DataError: there are no classes or only one class, a class has no files, or the splits have different classes.
    """
    try:
        root = _innermost_folder(folder)
        splits, stray_notes = _split_folders(root)
        found = {(split, name): folder_files(path) for split, paths in splits.items() for name, path in paths.items()}
        own_folders = [name for level in _levels(folder, root, splits) for name in _own_folders(level, root)]
    except OSError as error:
        raise DataError(f"the folder {error.filename} can't be read", found=error.strerror) from None
    class_names = _checked_classes(root, splits)
    images: list[FoundImage] = []
    left_out: list[str] = []
    for (split, name), (files, side_files, _) in found.items():
        left_out += [file.path for file in side_files]
        if split == "train" and not files:
            raise _class_without_images(name, root)
        label, prefix = class_names.index(name), Path(splits[split][name]).relative_to(root).as_posix()
        images += [FoundImage(f"{prefix}/{file.path}", split, label, file.size, file.changed) for file in files]
    printable_names = tuple(map(printable, class_names))
    strays = tuple(map(printable, stray_notes))
    own_notes = note_on_own_folders([*own_folders, *_own_folders_in_classes(found, splits, root)])
    notes = (*strays, *map(printable, own_notes), *note_on_side_files(left_out))
    return Listing(root, printable_names, images, notes, strays)


def _innermost_folder(folder: Path) -> Path:
    """Return the innermost folder that holds all files; the folder of a single class is not entered."""
    root = folder
    while True:
        folders, files, _ = list_folder(str(root))
        images = [name for name in files if not is_side_file(name)]
        if len(folders) != 1 or images or split_of_folder(folders[0]):
            break
        root = root / folders[0]
    # The last folder may be a class; then the errors name the given folder.
    return root if folders else folder


def _levels(folder: Path, root: Path, splits: Mapping[SplitName, Mapping[str, str]]) -> list[Path]:
    """Return the folders from the given folder down to the parents of the class folders."""
    parents = [level for level in root.parents if level == folder or folder in level.parents]
    holders = {Path(path).parent for paths in splits.values() for path in paths.values()}
    return [*reversed(parents), root, *sorted(holders - {root})]


def _own_folders(level: Path, root: Path) -> list[str]:
    prefix = "" if level == root or level in root.parents else f"{level.relative_to(root).as_posix()}/"
    return [prefix + name for name in list_folder(str(level)).own_folders]


def _own_folders_in_classes(
    found: Mapping[tuple[SplitName, str], FolderFiles], splits: Mapping[SplitName, Mapping[str, str]], root: Path
) -> list[str]:
    return [
        f"{Path(splits[split][name]).relative_to(root).as_posix()}/{own_folder}"
        for (split, name), files in found.items()
        for own_folder in files.own_folders
    ]


def _split_folders(root: Path) -> tuple[dict[SplitName, dict[str, str]], list[str]]:
    """Return the class folders of each split, by name, and messages about files and folders beside the classes."""
    folders, files, _ = list_folder(str(root))
    named = [name for name in folders if split_of_folder(name)]
    only_splits = len(named) == len(folders)
    holders = named if only_splits else [name for name in named if list_folder(str(root / name)).folders]
    if not holders or not (only_splits or any(split_of_folder(name) == "train" for name in holders)):
        # The folders are classes, even if a class is called "test" or "train".
        _check_any(root, folders, files)
        return {"train": {name: str(root / name) for name in folders}}, _note_on_stray_files(files)
    by_split = _splits_by_name(root, holders)
    others = [name for name in folders if name not in holders]
    notes = [f"left out: the folders {_listed(others)} beside {by_split['train']}"] if others else []
    return {split: _class_folders(root / by_split[split]) for split in SPLIT_NAMES if split in by_split}, notes


def _splits_by_name(root: Path, folders: Sequence[str]) -> dict[SplitName, str]:
    by_split: dict[SplitName, str] = {}
    for name in folders:
        split = split_of_folder(name)
        if split in by_split:
            raise DataError(
                f"two folders stand for the {split} split",
                found=f"{by_split[split]} and {name} in {root}",
                code="split-twice",
            )
        if split is not None:
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
    return {name: str(folder / name) for name in list_folder(str(folder)).folders}


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


def _note_on_stray_files(files: Iterable[str]) -> list[str]:
    strays = [name for name in files if not is_side_file(name)]
    return [f"left out: {counted(len(strays), 'file')} beside the class folders, such as {strays[0]}"] if strays else []


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(map(printable, ordered[:10])) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
