"""Layout of a data folder: where its splits and its classes are. Works on names and numbers of files, opens no file.

Three layouts are known: `CLASS/image`, `SPLIT/CLASS/image` and `CLASS/SPLIT/image`. Each may lie inside other folders,
such as `archive/data/images`, beside documents.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from saccade.data.dataset import SplitName
from saccade.data.sources.archive_members import SUFFIXES
from saccade.data.sources.file_discovery import Folder
from saccade.data.sources.folder_names import class_name_of_folder
from saccade.data.sources.name_labels import suggest_pattern
from saccade.data.sources.split_folders import (
    ClassFolders,
    are_only_splits,
    by_class,
    find_split_folders,
    is_labeled,
    listed,
    named_like_splits,
    splits_inside_classes,
    way_to_classes,
    way_to_splits,
)
from saccade.errors import DataError
from saccade.sanitize import counted, printable

LAYOUT = "CLASS/image, or train/CLASS/image with test/CLASS/image and validation/CLASS/image beside it"

CLASS_FIRST = "CLASS/SPLIT/image"
"""Description of a layout with split folders inside the class folders."""


@dataclass(frozen=True)
class FolderLayout:
    """Splits and classes of a data folder.

    Attributes:
        root: folder that holds the classes or the splits.
        splits: class folders of each split. Only "train" where the data has no split folders.
        split_names: name of the folder of each split; empty where the data has no folder for each split.
        description: layout in words.
        notes: messages about folders and files that were left out, and about folders inside class folders.
    """

    root: Folder
    splits: Mapping[SplitName, ClassFolders]
    split_names: Mapping[SplitName, str]
    description: str
    notes: tuple[str, ...]


def find_layout(top: Folder, place: str, *, needs_training: bool = True) -> FolderLayout:
    """Find the splits and classes of a data folder.

    Args:
        top: contents of the folder.
        place: path of the folder, or of the archive that holds the folder, for messages.
        needs_training: whether data without a training split is an error.

    Raises:
        DataError: there are no class folders; or folders of splits are missing, double or in doubt.
    """
    way = way_to_splits(top)
    root, notes = way[-1], _notes_beside_way(way)
    where = printable(f"{place}/{root.path}" if root.path else place)
    splits = find_split_folders(root, where, needs_training=needs_training)
    if splits:
        return _layout_of_splits(root, splits, notes)
    if not root.folders or _are_unlabeled_splits(root):
        raise _no_folders(root, where)
    notes += _note_on_stray_images(root, "the class folders")
    inside = splits_inside_classes(root, where)
    found: Mapping[SplitName, ClassFolders] = inside or {"train": by_class(root.folders)}
    notes += _notes_on_inner_folders(found)
    return FolderLayout(root, found, {}, CLASS_FIRST if inside else "CLASS/image", tuple(notes))


def _layout_of_splits(root: Folder, splits: Mapping[SplitName, Folder], notes: list[str]) -> FolderLayout:
    found: dict[SplitName, ClassFolders] = {}
    for split, folder in splits.items():
        way = way_to_classes(folder, found.get("train", ()))
        notes += [*_notes_beside_way(way), *_note_on_stray_images(way[-1], f"the class folders of {folder.name}")]
        found[split] = by_class(way[-1].folders)
    left_out = [folder for folder in root.folders if folder not in splits.values()]
    notes += _notes_beside_splits(left_out, next(iter(splits.values())), found.get("train", ()))
    names = {split: folder.name for split, folder in splits.items()}
    described = ", ".join(_described(split, name) for split, name in names.items())
    return FolderLayout(root, found, names, described, (*notes, *_notes_on_inner_folders(found)))


def _are_unlabeled_splits(root: Folder) -> bool:
    """Return whether all folders are named like splits and hold images alone."""
    named = named_like_splits(root)
    return are_only_splits(root) and (len(named) > 1 or any(meaning.is_plain for _, meaning in named))


def _described(split: SplitName, name: str) -> str:
    """Return the layout of a split in words, such as "seg_train/CLASS/image as train"."""
    return f"{name}/CLASS/image" + ("" if name == split else f" as {split}")


def _notes_beside_way(way: Sequence[Folder]) -> list[str]:
    """Return the notes on what lies beside the way from the data folder to the innermost folder."""
    notes = []
    for folder, inner in pairwise(way):
        others = [other for other in folder.folders if other is not inner]
        notes += _note_on_stray_images(folder, f"the folder {inner.name}")
        with_images = [other.name for other in others if other.num_images]
        empty = [other.name for other in others if not other.num_images]
        notes += [f"left out: {_folders(with_images)} beside {inner.name}"] if with_images else []
        notes += [f"left out: {_folders(empty)} without images, beside {inner.name}"] if empty else []
    return notes


def _notes_on_inner_folders(splits: Mapping[SplitName, ClassFolders]) -> list[str]:
    """Return the note that class folders hold folders: what the labels are, and whether the inner names recur."""
    inner: dict[str, set[str]] = {}
    for classes in splits.values():
        for name, folders in classes.items():
            inner.setdefault(name, set()).update(
                class_name_of_folder(child.name) for folder in folders for child in folder.with_images
            )
    nested = {name: names for name, names in inner.items() if names}
    if not nested:
        return []
    recurring = set.intersection(*nested.values()) if len(nested) == len(inner) > 1 else set()
    if recurring:
        same = f"every class folder holds the same folders ({listed(recurring)})"
        advice = (
            "If the inner folders are the classes, give one of the outer folders, or, if the outer folders are splits, "
            "rename them to train and test"
        )
        return [f"{same}: images are labeled with the outer folder. {advice}"]
    name, names = next(iter(sorted(nested.items())))
    example = f"{printable(name)}/{printable(min(names))}"
    number = counted(sum(map(len, nested.values())), "folder")
    return [f"{number} inside class folders, such as {example}: the images are labeled with the class folder"]


def _notes_beside_splits(folders: Sequence[Folder], split: Folder, known: Collection[str]) -> list[str]:
    """Return the notes on folders beside the splits."""
    notes = []
    labeled = [folder.name for folder in folders if folder.num_images and is_labeled(folder, known)]
    unlabeled = [folder.name for folder in folders if folder.num_images and folder.name not in labeled]
    empty = [folder.name for folder in folders if not folder.num_images]
    beside = f"beside {printable(split.name)}"
    if labeled:
        notes.append(f"left out: {_folders(labeled)} {beside}")
    if unlabeled:
        notes.append(f"left out: {_folders(unlabeled)} {beside}, without class folders: saccade predict takes them")
    if empty:
        notes.append(f"left out: {_folders(empty)} without images, {beside}")
    return notes


def _note_on_stray_images(folder: Folder, beside: str) -> list[str]:
    strays = [image.path.rpartition("/")[2] for image in folder.images]
    return [f"left out: {counted(len(strays), 'file')} beside {beside}, such as {min(strays)}"] if strays else []


def _no_folders(root: Folder, where: str) -> DataError:
    if root.num_images and root.folders:
        names = listed(folder.name for folder in root.with_images)
        return _no_classes(root, where, f"{counted(root.num_images, 'image')} in {names}, without class folders")
    files = len(root.images) + len(root.side_files)
    if not files:
        return DataError(f"the folder {where} is empty", expected=LAYOUT, code="empty-folder")
    return _no_classes(root, where, f"{counted(files, 'file')} and no folder")


def _no_classes(root: Folder, where: str, found: str) -> DataError:
    training = [folder for folder, meaning in named_like_splits(root) if meaning.split == "train"]
    names = [file.path.rpartition("/")[2] for folder in training or [root] for file in folder.all_images()]
    pattern, archives = suggest_pattern(names), [name for name in names if name.lower().endswith(SUFFIXES)]
    remedy = "sort the images into one folder for each class"
    if archives:
        remedy = f"if the images are in the archive {printable(archives[0])}, give its path"
    elif pattern:
        remedy += f"; or take the classes from the names of the files: --label-from-name {shlex.quote(pattern)}"
    return DataError(
        f"there are no classes in {where}",
        expected=f"a folder for each class: {LAYOUT}",
        found=found,
        remedy=remedy,
        code="no-classes",
    )


def _folders(names: Collection[str]) -> str:
    return f"the {'folder' if len(names) == 1 else 'folders'} {listed(names)}"
