"""Data frames of pandas and data sets of Hugging Face, by their interfaces: neither package is imported."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade.data.dataset import SplitName
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.folder_names import split_folder_name
from saccade.data.sources.label_files.columns import Columns, find_columns
from saccade.data.sources.label_files.label_file import notes_on_repeated_images
from saccade.data.sources.label_files.rows import LabeledRow, labeled_rows
from saccade.data.sources.label_files.table import Row, Table
from saccade.data.sources.memory.labeled_images import LabeledImages, labeled, sequence_of_images
from saccade.data.sources.memory.labels import class_names_of
from saccade.errors import DataError

_FRAME = "DataFrame"


def is_data_frame(data: object) -> bool:
    """Return whether a value is a DataFrame of pandas."""
    return _package_of(data) == "pandas" and hasattr(data, "columns")


def is_hugging_face(data: object) -> bool:
    """Return whether a value is a data set of Hugging Face, or a dictionary of them by split."""
    return _package_of(data) == "datasets" and (hasattr(data, "features") or isinstance(data, Mapping))


def table_of_frame(frame: Any) -> Table:
    """Return a DataFrame as a table: a row for each of its rows, numbered from 1."""
    columns = [str(name) for name in frame.columns]
    rows = [
        Row(number, dict(zip(columns, map(_plain, values), strict=True)))
        for number, values in enumerate(frame.itertuples(index=False, name=None), start=1)
    ]
    return Table(Path(_FRAME), columns, rows)


def images_of_table(table: Table, options: ReadingOptions) -> LabeledImages:
    """Return the images of a table, in memory or by their paths, with their labels, splits and groups.

    Paths are relative to the folder of the options, or to the current one.

    Raises:
        DataError: the table has no columns for images and labels, or a value in them can't be used.
    """
    columns = _columns_of(table, options)
    images = [contents_of(row.values.get(columns.image)) for row in table.rows]
    if options.root:
        images = [str(Path(options.root, image)) if isinstance(image, str) else image for image in images]
    named = [
        Row(position, {**row.values, columns.image: "-" if image is not None else None})
        for position, (row, image) in enumerate(zip(table.rows, images, strict=True))
    ]
    rows, notes = labeled_rows(replace(table, rows=named), columns)
    kept, more = _each_once(rows, images)
    splits: list[SplitName] = [row.split or "train" for row in kept]
    groups = [row.group for row in kept]
    found = labeled(
        sequence_of_images([images[row.number] for row in kept]),
        [row.label for row in kept],
        splits,
        groups if any(groups) else (),
    )
    return replace(found, notes=(*found.notes, *notes, *more))


def images_of_rows(data: Any) -> list[Any]:
    """Return the image of each row of a DataFrame or of a data set of Hugging Face: a path or an image in memory.

    Raises:
        DataError: there is no column for images, a row has no image, or the data is a dictionary of data sets.
    """
    if isinstance(data, Mapping):
        names = ", ".join(map(repr, data))
        raise DataError("these are several data sets", expected="one of them, such as data['test']", found=names)
    if is_data_frame(data):
        table = table_of_frame(data)
        column = _columns_of(table, None).image
        images = [contents_of(row.values.get(column)) for row in table.rows]
    else:
        columns = _columns_of(Table(Path(_FRAME), list(data.features), []), None)
        images = [contents_of(value) for value in _encoded_column(data, columns.image)]
    for number, image in enumerate(images, start=1):
        if image is None:
            raise DataError("a row has no image", expected="an image in each row", found=f"none in row {number:,}")
    return images


def _columns_of(table: Table, options: ReadingOptions | None) -> Columns:
    """Return the columns of a table; without options, that of the images is enough.

    Raises:
        DataError: there is no such column; the advice is for Python.
    """
    try:
        return find_columns(table, options or ReadingOptions(), needs_labels=options is not None)
    except DataError as error:
        remedy = (
            "name the columns: saccade.load(data, reading=saccade.ReadingOptions(image_column=..., label_column=...))"
        )
        raise DataError(
            "the table can't be used", expected=error.expected, found=error.found,
            remedy=remedy if options is not None else "give the column of the images itself, such as table['shot']",
            code=error.code,
        ) from None  # fmt: skip


def _encoded_column(data: Any, column: str) -> Any:
    """Return the images of a data set of Hugging Face: the contents of the files, rather than decoded images."""
    feature = data.features[column]
    raw = data.cast_column(column, type(feature)(decode=False)) if hasattr(feature, "decode") else data
    return raw[column]


def _each_once(rows: Sequence[LabeledRow], images: Sequence[Any]) -> tuple[list[LabeledRow], list[str]]:
    """Return the first row of each path, without paths of two labels, and the notes on the other rows."""
    by_path: dict[str, list[LabeledRow]] = {}
    for row in rows:
        image = images[row.number]
        by_path.setdefault(image if isinstance(image, str) else f"\0{row.number}", []).append(row)
    two = [path for path, found in by_path.items() if len({row.label for row in found}) > 1]
    twice = [path for path, found in by_path.items() if len(found) > 1 and path not in two]
    return [found[0] for path, found in by_path.items() if path not in two], notes_on_repeated_images(two, (), twice)


def images_of_hugging_face(data: Any, options: ReadingOptions) -> LabeledImages:
    """Return the images of data sets of Hugging Face; classes are named as the data sets name them.

    Raises:
        DataError: a data set has no columns for images and labels, or a name in a dictionary is no name of a split.
    """
    images: list[Any] = []
    labels: list[str] = []
    splits: list[SplitName] = []
    for name, part in dict(data.items() if isinstance(data, Mapping) else {"train": data}).items():
        meaning = split_folder_name(str(name))
        if meaning is None:
            raise DataError("a name is no name of a split", expected="train, validation or test", found=repr(name))
        columns = _columns_of(Table(Path(_FRAME), list(part.features), []), options)
        found = sequence_of_images([contents_of(value) for value in _encoded_column(part, columns.image)])
        names = getattr(part.features[columns.label], "names", None)
        images += found
        labels += class_names_of([_name_of(value, names) for value in part[columns.label]], len(found))
        splits += [meaning.split] * len(found)
    return labeled(images, labels, splits)


def _name_of(value: Any, names: Sequence[str] | None) -> Any:
    """Return the name of a class by its number; None for -1, by which Hugging Face marks a missing label."""
    if names is None or not isinstance(value, int):
        return value
    return names[value] if value >= 0 else None


def contents_of(value: Any) -> Any:
    """Return the contents, or the path, of an image as Hugging Face stores it; any other value unchanged."""
    if isinstance(value, Mapping) and {"bytes", "path"} >= set(value) and value:
        return value.get("bytes") or value.get("path")
    return value


def _plain(value: Any) -> Any:
    """Return a value of a DataFrame as a value of Python: a missing value is None."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _package_of(value: object) -> str:
    kinds: Iterable[type] = type(value).__mro__
    return next((name for kind in kinds if (name := kind.__module__.partition(".")[0]) in ("pandas", "datasets")), "")
