"""Labeled files: the files of each split and class, from folders, names or label files, checked and listed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from saccade.data.dataset import SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import (
    Folder,
    FoundFile,
    note_on_links,
    note_on_own_folders,
    note_on_side_files,
)
from saccade.data.sources.folder_layout import LAYOUT
from saccade.data.sources.folder_names import normalize_class_name, sorted_class_names
from saccade.data.sources.known_classes import KnownClasses
from saccade.errors import DataError
from saccade.sanitize import counted, listed_names, printable

_MIN_CLASSES = 2
_MAX_NAMES = 5  # in a message


class FoundImage(NamedTuple):
    """File that should be an image.

    Attributes:
        path: path relative to the root.
        split: split of the image.
        label: label of the image.
        size: size as in `FoundFile`.
        changed: time of the last change as in `FoundFile`.
        group: group of the image, whose images stay in one split; "" for none.
    """

    path: str
    split: SplitName
    label: int
    size: int
    changed: int
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """Files that should be images.

    Attributes:
        root: folder to which the paths of the images are relative.
        class_names: names of the classes, sorted, with unprintable characters as codes.
        images: files, ordered by split, class and path.
        layout: layout of the folders in words.
        notes: messages about files and folders that were left out.
        strays: messages, among the notes, about files and folders beside the classes or the splits.
    """

    root: Path
    class_names: tuple[str, ...]
    images: Sequence[FoundImage]
    layout: str
    notes: tuple[str, ...]
    strays: tuple[str, ...]

    def signature(self) -> str:
        """Return a hash of all paths, labels, sizes and times, which stays equal while no file changes."""
        lines = [
            f"{path}\0{split}\0{label}\0{size}\0{changed}\0{group}"
            for path, split, label, size, changed, group in self.images
        ]
        lines += [*self.class_names, *self.notes]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class LabeledFiles:
    """Files of each split and class.

    Attributes:
        where: path of the folder that holds the classes or the splits, for messages.
        root: path of this folder, relative to the data folder.
        splits: files of each class, by split and class name.
        split_names: name of the folder of each split; empty where the data has no folder for each split.
        folders: path of a folder of each class, by split and class name.
        side_files: paths of files in the class folders that are no images.
        layout: layout in words.
        notes: messages about folders and files that were left out.
        groups: group of images by path, where a label file has groups.
        base: folder to which the paths are relative; None for the data folder.
    """

    where: str
    root: str
    splits: Mapping[SplitName, Mapping[str, Sequence[FoundFile]]]
    split_names: Mapping[SplitName, str]
    folders: Mapping[tuple[SplitName, str], str]
    side_files: Sequence[str]
    layout: str
    notes: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    base: Path | None = None


def list_images(
    folder: Path, labeled: LabeledFiles, top: Folder, options: ReadingOptions, known: KnownClasses | None = None
) -> Listing:
    """Return the listing of labeled files.

    Args:
        folder: path of the data folder.
        labeled: the files.
        top: contents of the data folder.
        options: options for reading.
        known: classes of a classifier that is to be scored on the images. None: the classes of the training images.

    Raises:
        DataError: there are no classes or only one class, a class has no training images, or a split has a class that
            is unknown in training. With known classes: the data has another class, or no images.
    """
    dropped: list[str] = []
    if known is None:
        labeled = _with_one_case(labeled) if options.ignore_case else labeled
        class_names = _checked_classes(labeled, dropped, drop_empty_classes=options.drop_empty_classes)
    else:
        class_names, labeled = known.names, _with_known_classes(labeled, known)
    strip, groups = len(labeled.root) + 1 if labeled.root else 0, labeled.groups
    images = [
        FoundImage(path[strip:], split, label, size, changed, groups.get(path, "") if groups else "")
        for split, classes in labeled.splits.items()
        for label, name in enumerate(class_names)
        for path, size, changed in classes.get(name, ())
    ]
    strays = tuple(printable(note) for note in labeled.notes if note.startswith("left out"))
    others = [
        *(note for note in labeled.notes if not note.startswith("left out")),
        *note_on_own_folders([path[strip:] for path in top.all_own_folders()]),
        *note_on_links([path[strip:] for path in top.all_links()]),
        *([f"left out: classes without images: {_listed(dropped)}"] if dropped else []),
        *_notes_on_missing_classes(labeled, class_names),
    ]
    notes = (*strays, *map(printable, others), *note_on_side_files(labeled.side_files))
    root = labeled.base or folder / labeled.root
    return Listing(root, tuple(map(printable, class_names)), images, labeled.layout, notes, strays)


def _with_known_classes(labeled: LabeledFiles, known: KnownClasses) -> LabeledFiles:
    """Return labeled files with known classes; all files are the test split if there is no other test split.

    Raises:
        DataError: the data has an unknown class, or no images.
    """
    # A class whose images are all missing is not asked for.
    found = {
        name
        for classes in labeled.splits.values()
        for name, files in classes.items()
        if any(file.size for file in files)
    }
    if not found:
        raise DataError(f"there are no labeled images in {printable(labeled.where)}", code="no-classes")
    names = known.match(found)
    splits: dict[SplitName, dict[str, list[FoundFile]]] = {}
    for split, classes in labeled.splits.items():
        place: SplitName = split if "test" in labeled.splits else "test"
        for name, files in classes.items():
            if name in names:
                splits.setdefault(place, {}).setdefault(names[name], []).extend(files)
    return replace(labeled, splits=splits)


def _with_one_case(labeled: LabeledFiles) -> LabeledFiles:
    """Return labeled files where names that differ only in case are one class, spelled as the first of them."""
    spelled: dict[str, str] = {}
    for name in sorted(name for classes in labeled.splits.values() for name in classes):
        spelled.setdefault(name.casefold(), name)
    splits: dict[SplitName, dict[str, list[FoundFile]]] = {}
    for split, classes in labeled.splits.items():
        for name, files in classes.items():
            splits.setdefault(split, {}).setdefault(spelled[name.casefold()], []).extend(files)
    folders = {(split, spelled[name.casefold()]): path for (split, name), path in labeled.folders.items()}
    return replace(labeled, splits=splits, folders=folders)


def _checked_classes(labeled: LabeledFiles, dropped: list[str], *, drop_empty_classes: bool) -> tuple[str, ...]:
    """Return the sorted class names. The names of classes that were left out are appended to `dropped`."""
    training, where = labeled.splits["train"], printable(labeled.where)
    if not training:
        raise DataError(
            f"there are no classes in {where}", expected=f"a folder for each class: {LAYOUT}", code="no-classes"
        )
    _check_case(labeled, where)
    for split in labeled.splits:
        _check_known(split, labeled)
    empty = sorted(name for name, files in training.items() if not files)
    if empty and not drop_empty_classes:
        raise _class_without_images(empty[0], labeled)
    dropped += empty
    names = sorted_class_names(set(training) - set(empty))
    if len(names) < _MIN_CLASSES:
        raise DataError(
            f"there is only one class in {where}",
            expected="at least two classes to tell apart",
            found=printable(names[0]) if names else "no class with images",
            remedy="if another column holds the classes, name it with --label-column"
            if labeled.layout.startswith("labels from ") and labeled.base is not None
            else None,
            code="one-class",
        )
    return tuple(names)


def _check_case(labeled: LabeledFiles, where: str) -> None:
    """Require class names that differ in more than their case.

    Raises:
        DataError: two names differ only in case.
    """
    by_key: dict[str, dict[str, str]] = {}
    for split, classes in labeled.splits.items():
        for name in classes:
            by_key.setdefault(name.casefold(), {}).setdefault(name, labeled.folders.get((split, name), name))
    alike = sorted(sorted(names) for names in by_key.values() if len(names) > 1)
    if alike:
        first, second = alike[0][:2]
        paths = by_key[first.casefold()]
        raise DataError(
            f"the classes {printable(first)} and {printable(second)} differ only in upper and lower case",
            expected="one spelling for each class",
            found=f"{printable(paths[first])} and {printable(paths[second])} in {where}",
            remedy="if they are one class, add --ignore-case; else rename one of them",
            code="class-case",
        )


def _check_known(split: SplitName, labeled: LabeledFiles) -> None:
    """Require that a training class exists for each class of another split that has images.

    Raises:
        DataError: the split has an unknown class.
    """
    training = labeled.splits["train"]
    unknown = sorted(name for name, files in labeled.splits[split].items() if name not in training and files)
    if not unknown:
        return
    spelled = {normalize_class_name(name): name for name in training}
    folder, train = (printable(labeled.split_names.get(each, each)) for each in (split, "train"))
    steps = []
    for name in unknown[:_MAX_NAMES]:
        path = printable(labeled.folders.get((split, name), name))
        known = spelled.get(normalize_class_name(name))
        if known is None:
            steps.append(f"add training images of {printable(name)} to {train}, or move {path} out of the data")
        else:
            steps.append(f"rename {path} to {printable(known)}, as in {train}")
    raise DataError(
        f"the {split} split has classes that the training split has not",
        expected=f"no other classes than {_listed(training)}",
        found=f"{_listed(unknown)} in {folder}",
        remedy="; ".join(steps),
        code="class-missing",
    )


def _notes_on_missing_classes(labeled: LabeledFiles, class_names: Sequence[str]) -> list[str]:
    notes = []
    for split, classes in labeled.splits.items():
        missing = [name for name in class_names if not classes.get(name)]
        if missing:
            what = "class" if len(missing) == 1 else "classes"
            notes.append(f"the {split} split has no images of the {what} {_listed(missing)}")
    return notes


def _class_without_images(name: str, labeled: LabeledFiles) -> DataError:
    folder = labeled.folders["train", name]
    files = [path for path in labeled.side_files if path.startswith(f"{folder}/")]
    found = f"{counted(len(files), 'file')}, no images by name, such as {printable(files[0])}" if files else "no files"
    return DataError(
        f"the class {printable(name)!r} has no images",
        expected=f"at least one image in each class folder of {printable(labeled.where)}",
        found=f"{found} in {printable(folder)}",
        remedy="add images to it, or leave out classes without images: --drop-empty-classes",
        code="class-empty",
    )


def _listed(names: Iterable[str]) -> str:
    return listed_names(sorted_class_names(names))
