"""Splits and groups of the images in class folders, from tables without labels, such as `patients.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from saccade.data.dataset import SPLIT_NAMES, SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.file_discovery import FoundFile
from saccade.data.sources.label_files.columns import find_columns
from saccade.data.sources.label_files.label_file import (
    LabelFile,
    absolute_path,
    named_images,
    note_on_images_without_group,
    notes_on_groups,
)
from saccade.data.sources.label_files.rows import LabeledRow, listed
from saccade.data.sources.label_files.table import shown, unusable
from saccade.data.sources.labeled_files import LabeledFiles
from saccade.errors import DataError
from saccade.sanitize import counted

_Splits = dict[SplitName, dict[str, list[FoundFile]]]


def with_tables(
    folder: Path, labeled: LabeledFiles, tables: Sequence[LabelFile], options: ReadingOptions
) -> LabeledFiles:
    """Return the images of class folders with the splits and groups in tables.

    A table counts if it has a column of splits or of groups, and if it names at least one of the images. A table that
    names images in doubt, such as by an id that two files have, gives a note.

    Args:
        folder: path of the data folder.
        labeled: files of the class folders.
        tables: tables without labels.
        options: options for reading.

    Raises:
        DataError: an option is for a table, and no table can be used.
    """
    images = {
        absolute_path(folder, file.path): file
        for classes in labeled.splits.values()
        for files in classes.values()
        for file in files
    }
    rows: dict[str, LabeledRow] = {}
    notes: list[str] = []
    names: dict[str, None] = {}
    for table in tables:
        columns = find_columns(table.table, options, needs_labels=False)
        if columns.split is None and columns.group is None:
            continue
        name = table.table.path.name
        try:
            found, row_notes = _rows_of_images(table, images, rows, options)
        except DataError as error:
            if options.needs_label_file:
                raise
            notes.append(f"left out: {name}; expected: {error.expected}; found: {error.found}")
            continue
        if found:
            rows |= found
            notes += row_notes
            names[name] = None
    with_columns = [find_columns(table.table, options, needs_labels=False) for table in tables]
    if options.needs_label_file and tables and not any(each.split or each.group for each in with_columns):
        raise unusable(
            tables[0].table.path,
            "a column for the label, the group or the split",
            f"the columns {listed(map(shown, tables[0].table.columns))}",
            "name one of them with --label-column, --group-column or --split-column",
        )
    if not rows and options.needs_label_file and tables:
        raise unusable(tables[0].table.path, f"rows with images of {labeled.where}", "none")
    if not rows:
        return replace(labeled, notes=(*labeled.notes, *notes))
    return _with_rows(labeled, {images[path].path: row for path, row in rows.items()}, notes, ", ".join(names))


def _rows_of_images(
    table: LabelFile, images: Mapping[str, FoundFile], previous: Mapping[str, LabeledRow], options: ReadingOptions
) -> tuple[dict[str, LabeledRow], list[str]]:
    """Return the row of each image that a table names, and the notes about the other rows.

    Raises:
        DataError: a value in a column of splits is no name of a split, an image has two splits or two groups, also by
            the rows of an previous table, or as for `named_images`.
    """
    rows: dict[str, LabeledRow] = {}
    others = []
    ((_, _, named, notes),) = named_images([table], options, needs_labels=False)
    for row, image in named:
        path = absolute_path(table.root, image.path)
        if path not in images:
            others.append(row.image)
        elif (previous.get(path) or rows.setdefault(path, row))[3:] != row[3:]:
            raise unusable(
                table.table.path,
                "one split and one group for each image",
                f"another split or group of {shown(row.image)} in line {row.number}",
                "correct one of the rows",
            )
    if others:
        number = counted(len(others), "row")
        notes.append(f"left out: {number} of {table.table.path.name} without an image: {listed(others)}")
    return rows, [*table.table.notes, *notes]


def _with_rows(labeled: LabeledFiles, rows: Mapping[str, LabeledRow], notes: Sequence[str], names: str) -> LabeledFiles:
    """Return labeled files with the splits and groups of rows, by the paths of the images."""
    groups = {path: row.group for path, row in rows.items() if row.group}
    has_splits = any(row.split is not None for row in rows.values())
    takes_splits = has_splits and len(labeled.splits) == 1 and not labeled.split_names
    splits = _divided(labeled, rows) if takes_splits else labeled.splits
    paths = [(split, file.path) for split, classes in splits.items() for files in classes.values() for file in files]
    added = " and ".join([*(["splits"] if takes_splits else []), *(["groups"] if groups else [])])
    more = []
    if has_splits and not takes_splits:
        more.append(f"the splits in {names} are not used: the folders are the splits")
    if takes_splits and len(rows) < len(paths):
        more.append(f"{counted(len(paths) - len(rows), 'image')} without a row in {names}: in the training split")
    if groups:
        more += notes_on_groups((groups.get(path, ""), split) for split, path in paths)
        more += note_on_images_without_group(len(paths) - len(groups))
    return replace(
        labeled,
        splits=splits,
        folders={(split, name): path for (_, name), path in labeled.folders.items() for split in splits}
        if takes_splits
        else labeled.folders,
        layout=f"{labeled.layout}, {added} from {names}" if added else labeled.layout,
        notes=(*labeled.notes, *notes, *more),
        groups=groups,
    )


def _divided(labeled: LabeledFiles, rows: Mapping[str, LabeledRow]) -> _Splits:
    """Return the files of the training split, divided into splits; an image without a row is a training image."""
    splits: _Splits = {"train": {name: [] for name in labeled.splits["train"]}}
    for name, files in labeled.splits["train"].items():
        for file in files:
            split = (rows[file.path].split if file.path in rows else None) or "train"
            splits.setdefault(split, {}).setdefault(name, []).append(file)
    return {split: splits[split] for split in SPLIT_NAMES if split in splits}
