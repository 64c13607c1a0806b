"""Folders of splits, such as train and seg_test: beside each other, or inside class folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.sources.file_discovery import Folder
from saccade.data.sources.folder_names import (
    SplitFolderName,
    class_name_of_folder,
    is_document_name,
    is_unlabeled_name,
    split_folder_name,
    split_of_folder,
)
from saccade.errors import DataError
from saccade.sanitize import listed_names, printable

_MIN_CLASSES = 2

ClassFolders = Mapping[str, Sequence[Folder]]
"""Folders of each class by class name: several where names differ only in the form of Unicode, or in their split."""

_Named = tuple[Folder, SplitFolderName]


def by_class(folders: Iterable[Folder]) -> dict[str, list[Folder]]:
    """Return folders by class name."""
    classes: dict[str, list[Folder]] = {}
    for folder in folders:
        classes.setdefault(class_name_of_folder(folder.name), []).append(folder)
    return classes


def way_to_classes(folder: Folder, known: Collection[str] = ()) -> list[Folder]:
    """Return the folders on the way from a folder to the innermost folder that holds all class folders, both included.

    A folder that has images of its own, or the name of a known class, is a class and not on the way.
    """
    way = [folder]
    while (inner := _only_holder(way[-1])) is not None and class_name_of_folder(inner.name) not in known:
        way.append(inner)
    return way


def way_to_splits(top: Folder) -> list[Folder]:
    """Return the folders on the way to the folder that holds all folders of splits or classes, both included."""
    way = [top]
    while (inner := _only_holder(way[-1])) is not None and (
        split_of_folder(inner.name) is None or _holds_splits(inner)
    ):
        way.append(inner)
    return way


def _only_holder(folder: Folder) -> Folder | None:
    """Return the only folder with images, beside documents, if it holds folders with images and no images."""
    holders = [inner for inner in folder.with_images if not (is_document_name(inner.name) and inner.images)]
    if len(holders) != 1 or holders[0].images or not holders[0].with_images:
        return None
    return holders[0]


def _holds_splits(folder: Folder) -> bool:
    """Return whether a folder named like a split holds folders of splits, as in `train/train/CLASS`."""
    meanings = [split_of_folder(inner.name) for inner in folder.with_images if is_labeled(inner, ())]
    return len(meanings) == len(folder.with_images) > 1 and None not in meanings and "train" in meanings


def class_names(folder: Folder, known: Collection[str] = ()) -> set[str]:
    """Return the names of the classes in a folder that may hold a split."""
    return set(by_class(way_to_classes(folder, known)[-1].with_images))


def is_labeled(folder: Folder, known: Collection[str]) -> bool:
    """Return whether a folder that may hold a split has class folders with images, rather than images alone.

    Args:
        folder: the folder.
        known: names of the classes of the training split.
    """
    last = way_to_classes(folder, known)[-1]
    names = [inner.name for inner in last.with_images]
    if len(names) != 1 or class_name_of_folder(names[0]) in known:
        return bool(names)
    return not is_unlabeled_name(names[0]) and names[0] != last.name


def find_split_folders(root: Folder, where: str, *, needs_training: bool) -> dict[SplitName, Folder]:
    """Return the folder of each split; empty where the folders are classes, or where no folder is labeled.

    A name such as "train" is enough for a folder that holds class folders. A name with other words, such as "seg_train"
    or "test images", counts if a folder for training holds some of the same classes and all names agree.

    Args:
        root: the folder that holds the folders.
        where: path of the folder, for messages.
        needs_training: whether data without a training split is an error.

    Raises:
        DataError: two folders stand for one split, there is no training split, or a folder "train" may be a class.
    """
    chosen = _chosen(root)
    if not any(meaning.split == "train" for _, meaning in chosen):
        only_splits = are_only_splits(root)
        if only_splits and chosen and needs_training:
            raise _no_training_split(root, where, chosen)
        if needs_training or not only_splits:
            return {}
    if _is_class_of_trains(root, where, chosen):
        return {}
    by_split: dict[SplitName, Folder] = {}
    for folder, meaning in chosen:
        if meaning.split in by_split:
            raise _split_twice(where, meaning.split, ((each.name, its.split) for each, its in chosen))
        by_split[meaning.split] = folder
    return {split: by_split[split] for split in SPLIT_NAMES if split in by_split}


def _chosen(root: Folder) -> list[_Named]:
    """Return the folders that are splits by their names and contents, before any check."""
    named = named_like_splits(root)
    known = {name for folder, meaning in named if meaning.split == "train" for name in class_names(folder)}
    labeled = [(folder, meaning) for folder, meaning in named if is_labeled(folder, known)]
    plain = [(folder, meaning) for folder, meaning in labeled if meaning.is_plain]
    has_training = any(meaning.split == "train" for _, meaning in plain)
    return labeled if _agree(labeled, known) or (are_only_splits(root) and not has_training) else plain


def named_like_splits(root: Folder) -> list[_Named]:
    """Return the folders with images whose names may stand for splits."""
    return [(folder, meaning) for folder in root.with_images if (meaning := split_folder_name(folder.name)) is not None]


def are_only_splits(root: Folder) -> bool:
    """Return whether the names of all folders with images stand for splits, and agree."""
    named = named_like_splits(root)
    return len(named) == len(root.with_images) and _same_subject(meaning for _, meaning in named)


def _agree(named: Sequence[_Named], known: Collection[str]) -> bool:
    """Return whether folders are splits of one data set: each shares classes with one for training."""
    if not any(meaning.split == "train" for _, meaning in named) or not _same_subject(meaning for _, meaning in named):
        return False
    if len(named) == 1:
        return named[0][1].is_plain
    classes = [(meaning.split == "train", class_names(folder, known)) for folder, meaning in named]
    return all(
        any((trains or others_train) and names & others for others_train, others in (*classes[:i], *classes[i + 1 :]))
        for i, (trains, names) in enumerate(classes)
    )


def _same_subject(meanings: Iterable[SplitFolderName]) -> bool:
    """Return whether the other words of split names agree: "seg_train" and "seg_test", not "test_tube" beside them."""
    return len({meaning.subject for meaning in meanings if meaning.subject}) <= 1


def _is_class_of_trains(root: Folder, where: str, chosen: Sequence[_Named]) -> bool:
    """Return whether the only split is a folder "train" with one folder inside, beside several folders of images.

    Such a folder is the class of railway trains.

    Raises:
        DataError: the folder holds several folders, so that it may be either.
    """
    if len(chosen) != 1:
        return False
    ((train, meaning),) = chosen
    inside, subjects = class_names(train), {(), meaning.subject}
    others = [
        folder
        for folder in root.with_images
        if folder is not train and not is_unlabeled_name(folder.name, subjects) and not is_document_name(folder.name)
    ]
    unlike = [folder for folder in others if not inside & class_names(folder)]
    classes = [folder.name for folder in unlike or others]
    if len(classes) < _MIN_CLASSES:
        return False
    if len(inside) < _MIN_CLASSES:
        return True
    name = printable(train.name)
    raise DataError(
        f"{name} may be the {meaning.split} split, or a class beside {listed(classes)}",
        expected="split folders beside each other, such as train and test, or class folders beside each other",
        found=f"the folders {listed([train.name, *classes])} in {where}",
        remedy=f"if {name} is the {meaning.split} split, give the folder {name} alone; if {name} is a class, move the "
        f"images out of the folders inside {name}",
        code="split-or-class",
    )


def splits_inside_classes(root: Folder, where: str) -> dict[SplitName, ClassFolders]:
    """Return the splits of `CLASS/SPLIT/image`; empty for class folders that hold anything else.

    Args:
        root: the folder that holds the class folders.
        where: path of the folder, for messages.

    Raises:
        DataError: two folders of a class stand for one split.
    """
    classes = root.with_images
    named = [(folder, named_like_splits(folder)) for folder in classes]
    meanings = [meaning for _, inner in named for _, meaning in inner]
    splits = {meaning.split for meaning in meanings}
    plain = all(meaning.is_plain for meaning in meanings)
    if (
        len(classes) < _MIN_CLASSES
        or "train" not in splits
        or any(folder.images or len(inner) < len(folder.with_images) for folder, inner in named)
        or not (plain or (len(splits) > 1 and _same_subject(meanings)))
    ):
        return {}
    found: dict[SplitName, dict[str, list[Folder]]] = {}
    for folder, inner in named:
        _check_once(f"{where}/{printable(folder.name)}", inner)
        for split_folder, meaning in inner:
            found.setdefault(meaning.split, {}).setdefault(class_name_of_folder(folder.name), []).append(split_folder)
    for folder in root.folders:
        if not folder.num_images:
            found["train"].setdefault(class_name_of_folder(folder.name), [folder])
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def _check_once(where: str, named: Sequence[_Named]) -> None:
    splits = [meaning.split for _, meaning in named]
    for split in splits:
        if splits.count(split) > 1:
            raise _split_twice(where, split, ((folder.name, meaning.split) for folder, meaning in named))


def _no_training_split(root: Folder, where: str, found: Sequence[_Named]) -> DataError:
    empty = [
        folder.name for folder in root.folders if not folder.num_images and split_of_folder(folder.name) == "train"
    ]
    return DataError(
        "there are no images to train with",
        expected=f"images in {listed(empty)}" if empty else "a folder train beside the others",
        found=f"only {listed(folder.name for folder, _ in found)} in {where}",
        code="no-training-split",
    )


def _split_twice(where: str, split: SplitName, found: Iterable[tuple[str, SplitName]]) -> DataError:
    return DataError(
        f"two folders stand for the {split} split",
        expected="one folder for each split",
        found=f"{', '.join(f'{printable(name)} ({meaning})' for name, meaning in found)} in {where}",
        remedy="move one of them out of the folder, or rename it to train, validation or test",
        code="split-twice",
    )


def listed(names: Iterable[str]) -> str:
    """Return up to ten sorted names, separated by commas, and the number of the other names."""
    return listed_names(sorted(names))
