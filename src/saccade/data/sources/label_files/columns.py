"""Columns of a label file: which of them hold the image, the label, the split and the group."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.label_files.table import Table, shown, unusable
from saccade.data.sources.side_files import is_image_name
from saccade.errors import DataError

# Names in the order of preference, in lower case without separators.
_IMAGE_NAMES = (
    *("filename", "image", "path", "id", "file", "imagepath", "imagename", "imagefile", "filepath", "imageid"),
    *("img", "imgpath", "imgname", "images", "photo", "picture"),
)
_LABEL_NAMES = ("label", "class", "target", "category", "labels", "classname", "labelname", "species", "breed")
_SPLIT_NAMES = ("split", "fold", "subset", "set", "partition")
_GROUP_NAMES = ("group", "groupid", "patient", "patientid", "subject", "subjectid")
_MIN_ONE_HOT = 2
_MOST_SEARCHED = 30  # columns of a run whose parts are searched
_ONES = frozenset({"1", "1.0", "true"})
_BITS = _ONES | {"0", "0.0", "false"}


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a label file.

    Attributes:
        image: column of the path, name or id of the image.
        label: column of the label; "" where `one_hot` gives the label, or where the file has no labels.
        split: column of the split; None without one.
        group: column of the group whose images stay in one split; None without one.
        one_hot: columns of 0 and 1, one for each class; empty where `label` gives the label.
    """

    image: str
    label: str
    split: str | None = None
    group: str | None = None
    one_hot: tuple[str, ...] = ()

    @property
    def has_labels(self) -> bool:
        """Whether the file has labels."""
        return bool(self.label or self.one_hot)


def find_columns(table: Table, options: ReadingOptions, *, needs_labels: bool = True) -> Columns:
    """Find the columns of a label file by their names, or by the options.

    Raises:
        DataError: there is no column for the image, no column of a name in the options, or, if the file needs labels,
            no column for the label.
    """
    image = _column(table, options.image_column, "--image-column", _IMAGE_NAMES)
    label = _column(table, options.label_column, "--label-column", _LABEL_NAMES)
    split = _column(table, options.split_column, "--split-column", _SPLIT_NAMES)
    group = _column(table, options.group_column, "--group-column", _GROUP_NAMES)
    if image is None and any(is_image_name(name) for name in table.columns):
        raise unusable(
            table.path,
            "names of the columns in the first line",
            f"the values {_listed(table.columns)}",
            "add a first line with the names of the columns, such as file_name,label",
        )
    if image is None:
        raise _no_column(table, "image", "file_name, image, filename, path or id", "--image-column")
    if label is not None:
        return Columns(image, label, split, group)
    others = [name for name in table.columns if name not in (image, split, group)]
    one_hot = _one_hot(table, others)
    if needs_labels and not one_hot and len(_of_0_and_1(table, others)) >= _MIN_ONE_HOT:
        raise unusable(
            table.path,
            "a column for the label, or a column of 0 and 1 for each class, with one 1 in each row",
            f"the columns {_listed(table.columns)}, of which {_listed(_of_0_and_1(table, others))} are 0 or 1",
            "leave out the columns that are no classes, or name the label with --label-column",
        )
    if needs_labels and not one_hot:
        raise _no_column(table, "label", "label, class, target or category", "--label-column")
    return Columns(image, "", split, group, one_hot)


def has_column_of_images(table: Table, options: ReadingOptions) -> bool:
    """Return whether a table has a column for images."""
    if options.image_column is not None:
        return options.image_column in table.columns
    return _column(table, None, "--image-column", _IMAGE_NAMES) is not None


def has_labels(table: Table, options: ReadingOptions) -> bool:
    """Return whether a table has columns for images and labels."""
    try:
        return find_columns(table, options, needs_labels=False).has_labels
    except DataError:
        return False


def has_images_without_labels(table: Table, options: ReadingOptions) -> bool:
    """Return whether a table has a column for images and none for labels."""
    try:
        return not find_columns(table, options, needs_labels=False).has_labels
    except DataError:
        return False


def _column(table: Table, wanted: str | None, option: str, names: Sequence[str]) -> str | None:
    """Return the column of a name in the options, or the column with the first of the usual names."""
    if wanted is not None:
        if wanted in table.columns:
            return wanted
        known = most_similar_column(wanted, table)
        raise unusable(
            table.path,
            f"a column {shown(wanted)}, by {option}",
            f"the columns {_listed(table.columns)}",
            f"did you mean {shown(known)}?" if known else f"name one of the columns with {option}",
        )
    by_key = {_key(name): name for name in reversed(table.columns)}
    return next((by_key[name] for name in names if name in by_key), None)


def most_similar_column(wanted: str, table: Table) -> str | None:
    """Return the column whose name is most similar to a name that no column has; None if none is similar."""
    near = difflib.get_close_matches(_key(wanted), map(_key, table.columns), n=1)
    return next((name for name in table.columns if near and _key(name) == near[0]), None)


def _one_hot(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of 0 and 1 that give each row one class; empty if there are none.

    These are all columns, or else the only columns one after another, at least two, of which each row has one 1.
    """
    found = _of_0_and_1(table, names)
    if len(found) == len(names) >= _MIN_ONE_HOT and table.rows:
        return tuple(found)
    fitting = [run for run in _runs(names, set(found)) if _has_one_class(table, run)]
    longest = max(fitting, key=len, default=[])
    return tuple(longest) if sum(len(run) == len(longest) for run in fitting) == 1 else ()


def _runs(names: Sequence[str], found: Collection[str]) -> Iterator[list[str]]:
    """Yield runs of columns of 0 and 1, at least two: whole ones, and the parts of those that are not long."""
    for is_found, group in itertools.groupby(names, found.__contains__):
        run = list(group)
        if not is_found or len(run) < _MIN_ONE_HOT:
            continue
        yield run
        if len(run) <= _MOST_SEARCHED:
            for length in range(_MIN_ONE_HOT, len(run)):
                yield from (run[first : first + length] for first in range(len(run) - length + 1))


def _of_0_and_1(table: Table, names: Sequence[str]) -> list[str]:
    """Return the columns that hold only 0 and 1."""
    return [
        name
        for name in names
        if table.rows and {str(row.values.get(name)).strip().lower() for row in table.rows} <= _BITS
    ]


def _has_one_class(table: Table, names: Sequence[str]) -> bool:
    """Return whether each row has one 1 in the columns."""
    return all(sum(str(row.values.get(name)).strip().lower() in _ONES for name in names) == 1 for row in table.rows)


def _key(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _no_column(table: Table, what: str, names: str, option: str) -> DataError:
    return unusable(
        table.path,
        f"a column for the {what}: {names}",
        f"the columns {_listed(table.columns)}",
        f"name the column with {option}",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
