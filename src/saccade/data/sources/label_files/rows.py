"""Labeled images of a label file: image, label, split and group of each row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from saccade.data.dataset import SplitName
from saccade.data.sources.folder_names import class_name_of_folder, split_folder_name
from saccade.data.sources.label_files.columns import Columns
from saccade.data.sources.label_files.table import Row, Table, shown, unusable
from saccade.sanitize import plural

_SET = ("1", "1.0", "true")
_MAX_NAME = 255  # characters of a label or a group
_MAX_PATH = 4096  # characters
_MAX_ROWS = 10  # in a message


class LabeledRow(NamedTuple):
    """A row that labels an image.

    Attributes:
        number: number of the line or row.
        image: path, name or id of the image.
        label: class name; "" where the file has no labels.
        split: split; None where the file has no column of splits.
        group: group; "" for none.
    """

    number: int
    image: str
    label: str
    split: SplitName | None
    group: str


def labeled_rows(
    table: Table, columns: Columns, class_names: Sequence[str] | None = None
) -> tuple[list[LabeledRow], list[str]]:
    """Return the rows with an image and a label, and notes about the other rows. A file may have no labels at all.

    Args:
        table: the table.
        columns: its columns.
        class_names: names of the classes by number, where the file holds numbers; None where it holds names.

    Raises:
        DataError: a row has several labels, a label that is no text or number, or an unknown split.
    """
    _check_one_label(table, columns)
    found, without_label, without_image = [], [], []
    splits = _splits(table, columns)
    for row in table.rows:
        image = _image_text(table, row, columns.image)
        label = _label_text(table, row, columns, class_names)
        if not image:
            without_image.append(row.number)
        elif not label and columns.has_labels:
            without_label.append(row.number)
        else:
            split = None if splits is None else splits[str(row.values.get(str(columns.split)))]
            group = "" if columns.group is None else _text(table, row, columns.group)
            found.append(LabeledRow(row.number, image, class_name_of_folder(label), split, group))
    found = _with_whole_numbers(found)
    name = table.path.name
    notes = [
        *_note(name, "without a label", without_label),
        *_note(name, "without an image", without_image),
        *(
            [f"the column {columns.split} holds no names of splits and is not used"]
            if columns.split is not None and splits is None
            else []
        ),
    ]
    return found, notes


def _with_whole_numbers(rows: list[LabeledRow]) -> list[LabeledRow]:
    """Return rows whose labels are whole numbers without ".0", as other programs write numbers with missing values."""
    if not all(re.fullmatch(r"-?\d+([.]0)?", row.label) for row in rows):
        return rows
    return [row._replace(label=row.label.removesuffix(".0")) for row in rows]


def _splits(table: Table, columns: Columns) -> dict[str, SplitName] | None:
    """Return the split of each value in the column of splits; None without splits, and where it holds only numbers.

    Raises:
        DataError: a value is no name of a split.
    """
    if columns.split is None:
        return None
    first_row: dict[str, int] = {}
    for row in table.rows:
        first_row.setdefault(str(row.values.get(columns.split)), row.number)
    if all(re.fullmatch(r"-?\d+(\.0)?|None|", value) for value in first_row):
        return None
    splits: dict[str, SplitName] = {}
    for value, number in first_row.items():
        meaning = split_folder_name(value)
        if meaning is None:
            raise unusable(
                table.path,
                f"train, validation or test in the column {shown(columns.split)}",
                f"{shown(value)} in line {number}",
                "correct the value, or name another column with --split-column",
            )
        splits[value] = meaning.split
    return splits


def _check_one_label(table: Table, columns: Columns) -> None:
    several = [
        row.number
        for row in table.rows
        if sum(str(row.values.get(name)).strip().lower() in _SET for name in columns.one_hot) > 1
        or (columns.label and _is_several(row.values.get(columns.label)))
    ]
    if several:
        of_columns = f" by the columns {listed(columns.one_hot)}" if columns.one_hot else ""
        raise unusable(
            table.path, "one label for each image", f"several labels in {_lines(several)}{of_columns}",
            "leave out these rows: images with several labels can't be classified into one class"
            + ("; or leave out the columns that are no classes" if columns.one_hot else ""),
        )  # fmt: skip


def _is_several(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and len(value) != 1)


def _label_text(table: Table, row: Row, columns: Columns, class_names: Sequence[str] | None) -> str:
    if columns.one_hot:
        return next((name for name in columns.one_hot if str(row.values.get(name)).strip().lower() in _SET), "")
    if not columns.label:
        return ""
    value = row.values.get(columns.label)
    if class_names is not None and isinstance(value, int) and 0 <= value < len(class_names):
        return class_names[value]
    if isinstance(value, list):
        return _as_text(value[0], table, row, columns.label)
    return _text(table, row, columns.label)


def _image_text(table: Table, row: Row, column: str) -> str:
    value = row.values.get(column)
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        value = value["path"]
    return _as_text(value, table, row, column, _MAX_PATH)


def _text(table: Table, row: Row, column: str) -> str:
    return _as_text(row.values.get(column), table, row, column)


def _as_text(value: Any, table: Table, row: Row, column: str, longest: int = _MAX_NAME) -> str:
    if value is None or str(value).strip() in ("nan", "NaN"):  # other programs write missing values so
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float) or not _is_text(str(value)):
        expected = f"text or numbers in the column {shown(column)}"
        raise unusable(table.path, expected, f"{shown(value)} in line {row.number}")
    text = str(value).strip()
    if len(text) > longest:
        expected = f"at most {longest:,} characters in the column {shown(column)}"
        raise unusable(table.path, expected, f"{len(text):,} characters in line {row.number}")
    return text


def _is_text(value: str) -> bool:
    """Return whether a value can be written: JSON can hold halves of characters, as surrogates."""
    return "\0" not in value and value.encode(errors="replace").decode() == value


def _note(name: str, what: str, numbers: Sequence[int]) -> list[str]:
    return [f"left out: rows of {name} {what}: {_lines(numbers)}"] if numbers else []


def _lines(numbers: Sequence[int]) -> str:
    return f"{plural(len(numbers), 'line')} {listed(map(str, numbers))}"


def listed(values: Iterable[str]) -> str:
    """Return the first values, and the number of the others, such as "3, 7, 9 and 12 more"."""
    ordered = list(values)
    more = f" and {len(ordered) - _MAX_ROWS:,} more" if len(ordered) > _MAX_ROWS else ""
    return ", ".join(ordered[:_MAX_ROWS]) + more
