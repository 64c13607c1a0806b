"""Layout of a data folder: where its splits and its classes are. Works on names and numbers of files, opens no file.

Three layouts are known: `CLASS/image`, `SPLIT/CLASS/image` and `CLASS/SPLIT/image`. Each may lie inside other folders,
such as `archive/data/images`, beside documents.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.sources.archive_members import SUFFIXES
from saccade.data.sources.file_discovery import Folder
from saccade.data.sources.folder_names import (
    SplitFolderName,
    class_name_of_folder,
    is_unlabeled_name,
    split_folder_name,
    split_of_folder,
)
from saccade.data.sources.name_labels import suggest_pattern
from saccade.errors import DataError
from saccade.sanitize import counted, printable

LAYOUT = "CLASS/image, or train/CLASS/image with test/CLASS/image and validation/CLASS/image beside it"

CLASS_FIRST = "CLASS/SPLIT/image"
"""Description of a layout with split folders inside the class folders."""

_MIN_CLASSES = 2

ClassFolders = Mapping[str, Sequence[Folder]]
"""Folders of each class by class name: several where names differ only in the form of Unicode, or in their split."""


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
    root, notes = _innermost(top, stops_at_splits=True)
    where = printable(f"{place}/{root.path}" if root.path else place)
    splits = _split_folders(root, where, needs_training)
    if splits:
        _check_train_is_no_class(root, where, splits)
        left_out = [folder for folder in root.folders if folder not in splits.values()]
        found: dict[SplitName, ClassFolders] = {}
        for split, folder in splits.items():
            inner, more = _innermost(folder, stops_at_splits=False)
            notes += [*more, *_note_on_stray_images(inner, f"the class folders of {folder.name}")]
            found[split] = _by_class(inner.folders)
        notes += _notes_beside_splits(left_out, next(iter(splits.values())))
        names = {split: folder.name for split, folder in splits.items()}
        described = ", ".join(_described(split, name) for split, name in names.items())
        return FolderLayout(root, found, names, described, (*notes, *_notes_on_inner_folders(found)))
    if not root.folders:
        raise _no_folders(root, where)
    notes += _note_on_stray_images(root, "the class folders")
    inside = _splits_inside_classes(root)
    if inside:
        return FolderLayout(root, inside, {}, CLASS_FIRST, tuple(notes))
    classes: dict[SplitName, ClassFolders] = {"train": _by_class(root.folders)}
    return FolderLayout(root, classes, {}, "CLASS/image", (*notes, *_notes_on_inner_folders(classes)))


def _described(split: SplitName, name: str) -> str:
    """Return the layout of a split in words, such as "seg_train/CLASS/image as train"."""
    return f"{name}/CLASS/image" + ("" if name == split else f" as {split}")


def _innermost(folder: Folder, *, stops_at_splits: bool) -> tuple[Folder, list[str]]:
    """Return the innermost folder that holds all class folders, and notes on what lies beside the way to this folder.

    A folder that has images of its own may be a class and is not entered.
    """
    notes: list[str] = []
    while len(folder.with_images) == 1:
        (inner,) = folder.with_images
        if inner.images or not inner.with_images or (stops_at_splits and split_of_folder(inner.name)):
            break
        notes += _note_on_stray_images(folder, f"the folder {inner.name}")
        empty = [other.name for other in folder.folders if other is not inner]
        if empty:
            notes.append(f"left out: {_folders(empty)} without images, beside {inner.name}")
        folder = inner
    return folder, notes


def _is_labeled(folder: Folder) -> bool:
    """Return whether a folder that may hold a split has class folders with images, rather than images alone."""
    inner, _ = _innermost(folder, stops_at_splits=False)
    names = [other.name for other in inner.with_images]
    return bool(names) and not (len(names) == 1 and is_unlabeled_name(names[0]))


def _class_names(folder: Folder) -> set[str]:
    return set(_by_class(_innermost(folder, stops_at_splits=False)[0].with_images))


def _by_class(folders: Iterable[Folder]) -> dict[str, list[Folder]]:
    classes: dict[str, list[Folder]] = {}
    for folder in folders:
        classes.setdefault(class_name_of_folder(folder.name), []).append(folder)
    return classes


def _split_folders(root: Folder, where: str, needs_training: bool) -> dict[SplitName, Folder]:
    """Return the folder of each split; empty where the folders are classes.

    A name such as "train" is enough for a folder that holds class folders. A name with other words, such as "seg_train"
    or "test images", counts if a folder for training holds some of the same classes and all names agree.

    Raises:
        DataError: two folders stand for one split, there is no training split, or split folders hold no class folders.
    """
    holders = root.with_images
    meanings = [(folder, meaning) for folder in holders if (meaning := split_folder_name(folder.name)) is not None]
    labeled = [(folder, meaning) for folder, meaning in meanings if _is_labeled(folder)]
    only_splits = len(meanings) == len(holders) and _same_subject(meaning for _, meaning in meanings)
    if _agree(labeled) or (only_splits and labeled):
        chosen = labeled
    else:
        chosen = [(folder, meaning) for folder, meaning in labeled if meaning.is_plain]
    if not any(meaning.split == "train" for _, meaning in chosen):
        if only_splits and labeled and needs_training:
            raise _no_training_split(where, labeled)
        if only_splits and not labeled and (len(meanings) > 1 or any(meaning.is_plain for _, meaning in meanings)):
            names = _listed(folder.name for folder, _ in meanings)
            raise _no_classes(root, where, f"{counted(root.num_images, 'image')} in {names}, without class folders")
        if needs_training or not only_splits:
            return {}
    by_split: dict[SplitName, Folder] = {}
    for folder, meaning in chosen:
        if meaning.split in by_split:
            raise _split_twice(where, meaning.split, chosen)
        by_split[meaning.split] = folder
    return {split: by_split[split] for split in SPLIT_NAMES if split in by_split}


def _agree(folders: Sequence[tuple[Folder, SplitFolderName]]) -> bool:
    """Return whether folders are splits of one data set: all have classes of a folder for training."""
    training = [_class_names(folder) for folder, meaning in folders if meaning.split == "train"]
    if not training or not _same_subject(meaning for _, meaning in folders):
        return False
    if len(folders) == 1:
        return folders[0][1].is_plain
    shared = set.union(*training)
    return all(shared & _class_names(folder) for folder, _ in folders)


def _same_subject(meanings: Iterable[SplitFolderName]) -> bool:
    """Return whether the other words of split names agree: "seg_train" and "seg_test", not "test_tube" beside them."""
    return len({meaning.subject for meaning in meanings if meaning.subject}) <= 1


def _check_train_is_no_class(root: Folder, where: str, splits: Mapping[SplitName, Folder]) -> None:
    """Refuse a folder "train" that holds folders and is the only split beside several folders of images.

    Such a folder may be the class of railway trains.

    Raises:
        DataError: the folder may be a class.
    """
    (first, *_) = splits.values()
    others = [folder for folder in root.folders if folder is not first]
    may_be_classes = [
        folder.name
        for folder in others
        if folder.num_images and not is_unlabeled_name(folder.name) and not _class_names(folder) & _class_names(first)
    ]
    if len(may_be_classes) < _MIN_CLASSES or any(split_folder_name(folder.name) for folder in others):
        return
    name = printable(first.name)
    raise DataError(
        f"{name} may be the training split, or a class beside {_listed(may_be_classes)}",
        expected="split folders beside each other, such as train and test, or class folders beside each other",
        found=f"{_folders([first.name, *may_be_classes])} in {where}",
        remedy=f"if {name} is the training split, give the folder {name} alone; if {name} is a class, move the images "
        f"out of the folders inside {name}",
        code="split-or-class",
    )


def _splits_inside_classes(root: Folder) -> dict[SplitName, ClassFolders]:
    """Return the splits of `CLASS/SPLIT/image`; empty for class folders that hold anything else."""
    found: dict[SplitName, dict[str, list[Folder]]] = {}
    classes = root.with_images
    for folder in classes:
        splits = [split_of_folder(inner.name) for inner in folder.with_images]
        if folder.images or "train" not in splits or None in splits:
            return {}
        for inner, split in zip(folder.with_images, splits, strict=True):
            if split is not None:
                found.setdefault(split, {}).setdefault(class_name_of_folder(folder.name), []).append(inner)
    if len(classes) < _MIN_CLASSES:
        return {}
    for folder in root.folders:
        found["train"].setdefault(class_name_of_folder(folder.name), [folder])  # a class without images
    return {split: found[split] for split in SPLIT_NAMES if split in found}


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
        same = f"every class folder holds the same folders ({_listed(recurring)})"
        return [f"{same}: images are labeled with the outer folder, and these names are not used"]
    name, names = next(iter(sorted(nested.items())))
    example = f"{printable(name)}/{printable(min(names))}"
    number = counted(sum(map(len, nested.values())), "folder")
    return [f"{number} inside class folders, such as {example}: the images are labeled with the class folder"]


def _notes_beside_splits(folders: Sequence[Folder], split: Folder) -> list[str]:
    """Return the notes on folders beside the splits."""
    notes = []
    labeled = [folder.name for folder in folders if folder.num_images and _is_labeled(folder)]
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
    files = len(root.images) + len(root.side_files)
    if not files:
        return DataError(f"the folder {where} is empty", expected=LAYOUT, code="empty-folder")
    return _no_classes(root, where, f"{counted(files, 'file')} and no folder")


def _no_classes(root: Folder, where: str, found: str) -> DataError:
    names = [file.path.rpartition("/")[2] for file in root.all_images()]
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


def _no_training_split(where: str, found: Sequence[tuple[Folder, SplitFolderName]]) -> DataError:
    return DataError(
        "there are no images to train with",
        expected="a folder train beside the others",
        found=f"only {_listed(folder.name for folder, _ in found)} in {where}",
        code="no-training-split",
    )


def _split_twice(where: str, split: SplitName, found: Sequence[tuple[Folder, SplitFolderName]]) -> DataError:
    listed = ", ".join(f"{printable(folder.name)} ({meaning.split})" for folder, meaning in found)
    return DataError(
        f"two folders stand for the {split} split",
        expected="one folder for each split",
        found=f"{listed} in {where}",
        remedy="move one of them out of the folder, or rename it to train, validation or test",
        code="split-twice",
    )


def _folders(names: Collection[str]) -> str:
    return f"the {'folder' if len(names) == 1 else 'folders'} {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(map(printable, ordered[:10])) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
