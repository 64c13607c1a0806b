"""Labeled images in folders: the files of each split and class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    search_folder,
)
from saccade.data.sources.folder_layout import LAYOUT, find_layout
from saccade.data.sources.folder_names import normalize_class_name, sorted_class_names
from saccade.data.sources.name_labels import find_named_files
from saccade.errors import DataError
from saccade.sanitize import counted, printable

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
        """Return a hash of all paths, sizes and times, which stays equal while no file changes."""
        lines = [f"{found.path}\0{found.size}\0{found.changed}" for found in self.images]
        lines += [*self.class_names, *self.notes]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def find_images(folder: Path, options: ReadingOptions | None = None, *, place: str | None = None) -> Listing:
    """List the files in a folder that should be images, with their splits and classes, without opening the files.

    Hidden files, side files such as LICENSE or labels.csv, and folders that Saccade made, such as runs, are left out.

    Args:
        folder: path of the folder.
        options: options for reading.
        place: path of the data for messages, if it is not the folder, such as the path of an archive.

    Raises:
        DataError: there are no classes or only one class, a class has no training images, or a split has a class that
            is unknown in training.
    """
    options, place = options or ReadingOptions(), printable(str(folder) if place is None else place)
    try:
        top = search_folder(str(folder))
    except OSError as error:
        raise DataError(f"the folder {error.filename} can't be read", found=error.strerror) from None
    labeled = _files_by_class(top, options, place)
    dropped: list[str] = []
    class_names = _checked_classes(labeled, dropped, drop_empty_classes=options.drop_empty_classes)
    strip = len(labeled.root) + 1 if labeled.root else 0
    images = [
        FoundImage(file.path[strip:], split, label, file.size, file.changed)
        for split, classes in labeled.splits.items()
        for label, name in enumerate(class_names)
        for file in classes.get(name, ())
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
    return Listing(folder / labeled.root, tuple(map(printable, class_names)), images, labeled.layout, notes, strays)


@dataclass(frozen=True)
class _LabeledFiles:
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
    """

    where: str
    root: str
    splits: Mapping[SplitName, Mapping[str, Sequence[FoundFile]]]
    split_names: Mapping[SplitName, str]
    folders: Mapping[tuple[SplitName, str], str]
    side_files: Sequence[str]
    layout: str
    notes: tuple[str, ...]


def _files_by_class(top: Folder, options: ReadingOptions, place: str) -> _LabeledFiles:
    if options.label_from_name is not None:
        named = find_named_files(top, options.label_from_name, place)
        layout = f"labels from names of files by {options.label_from_name}"
        side_files = [file.path for file in top.all_side_files()]
        return _LabeledFiles(place, "", named.splits, named.split_names, {}, side_files, layout, named.notes)
    found = find_layout(top, place)
    splits = {
        split: {name: [file for folder in folders for file in folder.all_images()] for name, folders in classes.items()}
        for split, classes in found.splits.items()
    }
    class_folders = [
        ((split, name), folder)
        for split, classes in found.splits.items()
        for name, folders in classes.items()
        for folder in folders
    ]
    return _LabeledFiles(
        where=f"{place}/{found.root.path}" if found.root.path else place,
        root=found.root.path,
        splits=splits,
        split_names=found.split_names,
        folders={key: folder.path for key, folder in reversed(class_folders)},
        side_files=[file.path for _, folder in class_folders for file in folder.all_side_files()],
        layout=found.description,
        notes=found.notes,
    )


def _checked_classes(labeled: _LabeledFiles, dropped: list[str], *, drop_empty_classes: bool) -> tuple[str, ...]:
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
            code="one-class",
        )
    return tuple(names)


def _check_case(labeled: _LabeledFiles, where: str) -> None:
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
            remedy="if they are one class, give both the same name; else rename one of them",
            code="class-case",
        )


def _check_known(split: SplitName, labeled: _LabeledFiles) -> None:
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


def _notes_on_missing_classes(labeled: _LabeledFiles, class_names: Sequence[str]) -> list[str]:
    notes = []
    for split, classes in labeled.splits.items():
        missing = [name for name in class_names if not classes.get(name)]
        if missing:
            what = "class" if len(missing) == 1 else "classes"
            notes.append(f"the {split} split has no images of the {what} {_listed(missing)}")
    return notes


def _class_without_images(name: str, labeled: _LabeledFiles) -> DataError:
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
    ordered = sorted_class_names(names)
    return ", ".join(map(printable, ordered[:10])) + (f" and {len(ordered) - 10} more" if len(ordered) > 10 else "")
