"""Labeled images in a folder: labels from class folders, from the names of files, or from a label file inside."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import Folder, search_folder
from saccade.data.sources.folder_layout import find_layout
from saccade.data.sources.known_classes import KnownClasses
from saccade.data.sources.label_files.columns import find_columns
from saccade.data.sources.label_files.folder_table import with_tables
from saccade.data.sources.label_files.label_file import LabelFile, labels_of_folders, read_label_files
from saccade.data.sources.label_files.label_file_search import (
    advice_on_other_files,
    check_label_files,
    label_files_in,
    notes_on_unused_tables,
    tables_without_labels_in,
)
from saccade.data.sources.labeled_files import LabeledFiles, Listing, list_images
from saccade.data.sources.name_labels import find_named_files
from saccade.errors import DataError
from saccade.sanitize import printable


def find_images(
    folder: Path,
    options: ReadingOptions | None = None,
    known: KnownClasses | None = None,
    *,
    place: str | None = None,
) -> Listing:
    """List the files in a folder that should be images, with their splits and classes, without opening the files.

    Hidden files, side files such as LICENSE or notes.txt, and folders that Saccade made, such as runs, are left out.

    Args:
        folder: path of the folder.
        options: options for reading.
        known: classes of a classifier that is to be scored on the images; None for data to train on.
        place: path of the data for messages, if it is not the folder, such as the path of an archive.

    Raises:
        DataError: there are no classes or only one class, a class has no training images, a split has a class that is
            unknown in training, or a label file can't be used.
    """
    options, place = options or ReadingOptions(), printable(str(folder) if place is None else place)
    top = search_folder(str(folder))
    labeled = _labeled_files(folder, top, options, place, needs_training=known is None)
    return list_images(folder, labeled, top, options, known)


def images_of_class_folders(
    top: Folder, place: str, options: ReadingOptions, known: KnownClasses | None = None
) -> Listing:
    """List the images of a folder with class folders, or with classes in the names of files, without label files.

    Args:
        top: contents of the folder.
        place: path of the folder, for messages.
        options: options for reading.
        known: as for `find_images`.

    Returns:
        The listing, whose root is relative to the folder.

    Raises:
        DataError: as for `find_images`.
    """
    if options.label_from_name is not None:
        labeled = _from_names(top, options.label_from_name, place)
    else:
        labeled = _from_folders(top, place, needs_training=known is None)
    return list_images(Path(), labeled, top, options, known)


def label_files_of_folder(folder: Path, options: ReadingOptions) -> list[LabelFile]:
    """Return the label files in a folder, or else its tables without labels; empty if there are none.

    Raises:
        DataError: the folder can't be read, or several files may be the label file.
    """
    top = search_folder(str(folder))
    return label_files_in(folder, top, options) or tables_without_labels_in(folder, top, options)


def _labeled_files(
    folder: Path, top: Folder, options: ReadingOptions, place: str, *, needs_training: bool
) -> LabeledFiles:
    """Return the files of each class, from the source of labels that the options or the contents of the folder name."""
    if options.label_from_name is not None:
        return _from_names(top, options.label_from_name, place)
    files = label_files_in(folder, top, options)
    if not files:
        tables = tables_without_labels_in(folder, top, options)
        if options.needs_label_file and needs_training and not tables:
            check_label_files(folder, top, options)
        found = _from_folders_alone(folder, top, options, place, needs_training=needs_training)
        found = replace(found, notes=(*found.notes, *notes_on_unused_tables(folder, top, options)))
        return with_tables(folder, found, tables, options) if tables else found
    from_folders = _class_folders(top, place, needs_training=needs_training)
    if from_folders is not None and not options.needs_label_file:
        with contextlib.suppress(DataError):  # then the label file is the only source of labels
            reason = _reason_to_leave_out(files, options, _class_of_path(folder, from_folders))
            if reason:
                names = ", ".join(sorted({printable(file.table.path.name) for file in files}))
                note = f"the labels in {names} are not used: {reason}; to use them, give the path of the file"
                return replace(from_folders, notes=(*from_folders.notes, note))
    labeled = read_label_files(files, options, needs_training=needs_training)
    if from_folders is not None:
        note = f"the class folders are not used, since the labels are those of {labeled.layout.partition(',')[0][12:]}"
        labeled = replace(labeled, notes=(*labeled.notes, note))
    return labeled


def _from_names(top: Folder, pattern: str, place: str) -> LabeledFiles:
    named = find_named_files(top, pattern, place)
    layout = f"labels from names of files by {pattern}"
    side_files = [file.path for file in top.all_side_files()]
    return LabeledFiles(place, "", named.splits, named.split_names, {}, side_files, layout, named.notes)


def _class_folders(top: Folder, place: str, *, needs_training: bool) -> LabeledFiles | None:
    """Return the files of each class folder, in data with a label file; None if the folders are no classes."""
    if top.folders:
        with contextlib.suppress(DataError):
            found = _from_folders(top, place, needs_training=needs_training)
            return found if any(len(classes) > 1 for classes in found.splits.values()) else None
    return None


def _reason_to_leave_out(files: Sequence[LabelFile], options: ReadingOptions, class_of_path: Mapping[str, str]) -> str:
    """Return why label files beside class folders are not used; empty if they are.

    Raises:
        DataError: the files can't be compared with the folders.
    """
    if all(find_columns(file.table, options).one_hot for file in files):
        return "the class folders are other classes than its columns of 0 and 1"
    return "they are those of the class folders" if labels_of_folders(files, options, class_of_path) else ""


def _class_of_path(folder: Path, labeled: LabeledFiles) -> dict[str, str]:
    """Return the class of each file by its whole path."""
    return {
        f"{folder}/{file.path}": name
        for classes in labeled.splits.values()
        for name, files in classes.items()
        for file in files
    }


def _from_folders_alone(
    folder: Path, top: Folder, options: ReadingOptions, place: str, *, needs_training: bool
) -> LabeledFiles:
    """Return the files of each class folder; without class folders, the error may be that of a label file."""
    try:
        found = _from_folders(top, place, needs_training=needs_training)
    except DataError as error:
        if error.code not in ("no-classes", "empty-folder"):
            raise
        check_label_files(folder, top, options)
        advice = advice_on_other_files(folder, top)
        if advice is None or error.code == "empty-folder":
            raise
        raise DataError(
            error.problem, expected=error.expected, found=error.found, remedy=advice, code=error.code
        ) from None
    if needs_training and len(found.splits["train"]) == 1:
        check_label_files(folder, top, options)
        advice = advice_on_other_files(folder, top)
        if advice is not None:
            names = ", ".join(map(printable, found.splits["train"]))
            raise DataError(
                f"there is only one class in {place}",
                expected="at least two classes to tell apart", found=names, remedy=advice, code="one-class",
            )  # fmt: skip
    return found


def _from_folders(top: Folder, place: str, *, needs_training: bool) -> LabeledFiles:
    found = find_layout(top, place, needs_training=needs_training)
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
    return LabeledFiles(
        where=f"{place}/{found.root.path}" if found.root.path else place,
        root=found.root.path,
        splits=splits,
        split_names=found.split_names,
        folders={key: folder.path for key, folder in reversed(class_folders)},
        side_files=[file.path for _, folder in class_folders for file in folder.all_side_files()],
        layout=found.description,
        notes=found.notes,
    )
