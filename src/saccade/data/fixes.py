"""fixes.csv: images of a dataset to drop or to relabel; the image files stay unchanged."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, cast

import numpy as np

from saccade.data.dataset import SPLIT_NAMES, Dataset, Fix, Split, SplitName
from saccade.errors import DataError
from saccade.named_paths import named_path
from saccade.sanitize import counted, printable

COLUMNS = ("path", "split", "action", "class")
ACTIONS = ("keep", "relabel", "drop")
_MAX_BYTES = 256 * 10**6


def read_fixes(path: str | os.PathLike[str]) -> tuple[Fix, ...]:
    """Read a fixes.csv.

    Raises:
        DataError: the file can't be read, or a line is invalid; the error names the line.
    """
    path = named_path(path, DataError, what="a file of fixes", expected="the path of a fixes.csv")
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise DataError(
                f"'{printable(str(path))}' is no fixes.csv",
                expected=f"a file of at most {_MAX_BYTES // 10**6} MB with the columns {','.join(COLUMNS)}",
                remedy="save one on the page of an audit: saccade audit DATA",
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{printable(str(path))}' can't be read", found=printable(str(error))) from None
    return _parse(text, printable(str(path)))


def fixes_text(fixes: Sequence[Fix]) -> str:
    """Return the contents of a fixes.csv."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((fix.path, fix.split, fix.action, fix.class_name) for fix in fixes)
    return stream.getvalue()


def apply_fixes(dataset: Dataset, fixes: Sequence[Fix]) -> Dataset:
    """Drop and relabel images of a dataset; return the new dataset, with a new fingerprint and a note.

    Raises:
        DataError: an image or a class is not in the dataset, the dataset has fixes already, a class would lose all its
            training images, or a split would lose all its images.
    """
    if dataset.fixes:
        raise DataError(f"fixes were applied to '{dataset.name}' already", remedy="put all fixes into one file")
    _check_classes(dataset, fixes)
    by_split = {name: [fix for fix in fixes if fix.split == name] for name in SPLIT_NAMES}
    splits = {
        name: _fix_split(split, by_split[name], dataset.class_names, dataset.name)
        for name, split in dataset.splits.items()
    }
    _check_splits(dataset, fixes)
    _check_remaining(splits, dataset.class_names)
    return replace(
        dataset,
        splits=splits,
        fixes=tuple(fixes),
        fingerprint=fixed_fingerprint(dataset.fingerprint, fixes),
        notes=(*dataset.notes, _note(fixes)),
    )


def _parse(text: str, name: str) -> tuple[Fix, ...]:
    fixes: dict[tuple[str, str], Fix] = {}
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        if tuple(header) != COLUMNS:
            raise _invalid_line(name, 1, f"the columns {','.join(COLUMNS)}", ",".join(header))
        for row in rows:
            fix = _parse_row(row, name, rows.line_num)
            if (fix.path, fix.split) in fixes:
                raise _invalid_line(name, rows.line_num, "each image once", f"{fix.path} again")
            fixes[fix.path, fix.split] = fix
    except csv.Error as error:
        raise DataError(f"'{name}' can't be read as CSV", found=str(error)) from None
    return tuple(fixes.values())


def _parse_row(row: Sequence[str], name: str, line: int) -> Fix:
    if len(row) != len(COLUMNS):
        raise _invalid_line(name, line, f"{len(COLUMNS)} cells", f"{len(row)}")
    path, split, action, class_name = row
    if split not in SPLIT_NAMES:
        raise _invalid_line(name, line, f"a split: {', '.join(SPLIT_NAMES)}", repr(split))
    if action not in ACTIONS:
        raise _invalid_line(name, line, f"an action: {', '.join(ACTIONS)}", repr(action))
    if (action == "relabel") != bool(class_name):
        raise _invalid_line(
            name, line, "a class with relabel, and with nothing else", f"{action} and the class {class_name!r}"
        )
    return Fix(path, split, cast(Literal["keep", "relabel", "drop"], action), class_name)


def _invalid_line(name: str, line: int, expected: str, found: str) -> DataError:
    return DataError(f"line {line} of '{name}' is invalid", expected=expected, found=printable(found))


def _check_classes(dataset: Dataset, fixes: Sequence[Fix]) -> None:
    unknown = sorted({fix.class_name for fix in fixes if fix.class_name} - set(dataset.class_names))
    if unknown:
        raise DataError(
            f"'{dataset.name}' has no class {printable(unknown[0])!r} to relabel an image to",
            expected=", ".join(dataset.class_names[:20]),
        )


def _check_splits(dataset: Dataset, fixes: Sequence[Fix]) -> None:
    for fix in fixes:
        if fix.split not in dataset.splits:
            raise DataError(
                f"'{dataset.name}' has no {fix.split} split", found=f"a fix for {printable(fix.path)} in it"
            )


def _fix_split(split: Split, fixes: Sequence[Fix], class_names: Sequence[str], name: str) -> Split:
    if not fixes:
        return split
    positions = {path: position for position, path in enumerate(split.names)}
    absent = next((fix for fix in fixes if fix.path not in positions), None)
    if absent is not None:
        raise DataError(
            f"there is no image {printable(absent.path)} in the {absent.split} split of '{name}'",
            remedy="audit the data as it is now, and save fixes.csv again",
        )
    labels, kept = split.labels.copy(), np.ones(len(split), np.bool_)
    for fix in fixes:
        if fix.action == "relabel":
            labels[positions[fix.path]] = class_names.index(fix.class_name)
        kept[positions[fix.path]] = fix.action != "drop"
    return replace(split, labels=labels).subset(np.flatnonzero(kept))


def _check_remaining(splits: Mapping[SplitName, Split], class_names: Sequence[str]) -> None:
    for name, split in splits.items():
        if not len(split):
            raise DataError(f"the fixes leave no image in the {name} split")
    counts = np.bincount(splits["train"].labels, minlength=len(class_names))
    if not counts.all():
        raise DataError(f"the fixes leave no image of the class {class_names[int(counts.argmin())]!r} to train with")


def fixed_fingerprint(fingerprint: str, fixes: Sequence[Fix]) -> str:
    """Return the fingerprint of data with fixes: a hexadecimal hash of the data's fingerprint and of the changes.

    Args:
        fingerprint: fingerprint of the data without fixes.
        fixes: fixes in any order; a fix with the action "keep" changes nothing.
    """
    changes = sorted((fix.split, fix.path, fix.action, fix.class_name) for fix in fixes if fix.action != "keep")
    if not changes:
        return fingerprint
    lines = [fingerprint, *("\0".join(change) for change in changes)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[: len(fingerprint)]


def _note(fixes: Sequence[Fix]) -> str:
    dropped, relabeled = (sum(fix.action == action for fix in fixes) for action in ("drop", "relabel"))
    return f"fixes applied: {counted(dropped, 'image')} dropped, {relabeled:,} relabeled"
