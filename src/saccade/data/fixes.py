"""fixes.csv: which images of a dataset are dropped or get another label, without touching a file."""

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
_MOST_BYTES = 256 * 10**6


def read_fixes(path: str | os.PathLike[str]) -> tuple[Fix, ...]:
    """Reads a fixes.csv.

    Raises:
        DataError: it can't be read, or a line of it is not what it must be; the line is named.
    """
    path = named_path(path, DataError, what="a file of fixes", expected="the path of a fixes.csv")
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"'{printable(str(path))}' is no fixes.csv",
                expected=f"a file of at most {_MOST_BYTES // 10**6} MB with the columns {','.join(COLUMNS)}",
                remedy="save one on the page of an audit: saccade audit DATA",
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"'{printable(str(path))}' can't be read", found=printable(str(error))) from None
    return _parsed(text, printable(str(path)))


def fixes_text(fixes: Sequence[Fix]) -> str:
    """The contents of the fixes.csv that holds these."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((fix.path, fix.split, fix.action, fix.class_name) for fix in fixes)
    return stream.getvalue()


def apply_fixes(dataset: Dataset, fixes: Sequence[Fix]) -> Dataset:
    """The dataset with images dropped and relabeled, a fingerprint of its own, and a note on it.

    Raises:
        DataError: an image or a class is not in the dataset; fixes were applied to it before; or a class is left
            without images to train with, or a split without any.
    """
    if dataset.fixes:
        raise DataError(f"fixes were applied to '{dataset.name}' already", remedy="put all fixes into one file")
    _check_classes(dataset, fixes)
    by_split = {name: [fix for fix in fixes if fix.split == name] for name in SPLIT_NAMES}
    splits = {
        name: _fixed(split, by_split[name], dataset.class_names, dataset.name) for name, split in dataset.splits.items()
    }
    _check_nothing_else(dataset, fixes)
    _check_left(splits, dataset.class_names)
    return replace(
        dataset,
        splits=splits,
        fixes=tuple(fixes),
        fingerprint=fixed_fingerprint(dataset.fingerprint, fixes),
        notes=(*dataset.notes, _note(fixes)),
    )


def _parsed(text: str, name: str) -> tuple[Fix, ...]:
    fixes: dict[tuple[str, str], Fix] = {}
    try:
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(rows, [])
        if tuple(header) != COLUMNS:
            raise _bad(name, 1, f"the columns {','.join(COLUMNS)}", ",".join(header))
        for row in rows:
            fix = _fix(row, name, rows.line_num)
            if (fix.path, fix.split) in fixes:
                raise _bad(name, rows.line_num, "each image once", f"{fix.path} again")
            fixes[fix.path, fix.split] = fix
    except csv.Error as error:
        raise DataError(f"'{name}' can't be read as CSV", found=str(error)) from None
    return tuple(fixes.values())


def _fix(row: Sequence[str], name: str, line: int) -> Fix:
    if len(row) != len(COLUMNS):
        raise _bad(name, line, f"{len(COLUMNS)} cells", f"{len(row)}")
    path, split, action, class_name = row
    if split not in SPLIT_NAMES:
        raise _bad(name, line, f"a split: {', '.join(SPLIT_NAMES)}", repr(split))
    if action not in ACTIONS:
        raise _bad(name, line, f"an action: {', '.join(ACTIONS)}", repr(action))
    if (action == "relabel") != bool(class_name):
        raise _bad(name, line, "a class with relabel, and with nothing else", f"{action} and the class {class_name!r}")
    return Fix(path, split, cast(Literal["keep", "relabel", "drop"], action), class_name)


def _bad(name: str, line: int, expected: str, found: str) -> DataError:
    return DataError(f"line {line} of '{name}' is not as it must be", expected=expected, found=printable(found))


def _check_classes(dataset: Dataset, fixes: Sequence[Fix]) -> None:
    unknown = sorted({fix.class_name for fix in fixes if fix.class_name} - set(dataset.class_names))
    if unknown:
        raise DataError(
            f"'{dataset.name}' has no class {printable(unknown[0])!r} to relabel an image to",
            expected=", ".join(dataset.class_names[:20]),
        )


def _check_nothing_else(dataset: Dataset, fixes: Sequence[Fix]) -> None:
    for fix in fixes:
        if fix.split not in dataset.splits:
            raise DataError(
                f"'{dataset.name}' has no {fix.split} split", found=f"a fix for {printable(fix.path)} in it"
            )


def _fixed(split: Split, fixes: Sequence[Fix], class_names: Sequence[str], name: str) -> Split:
    if not fixes:
        return split
    place = {path: position for position, path in enumerate(split.names)}
    absent = next((fix for fix in fixes if fix.path not in place), None)
    if absent is not None:
        raise DataError(
            f"there is no image {printable(absent.path)} in the {absent.split} split of '{name}'",
            remedy="audit the data as it is now, and save fixes.csv again",
        )
    labels, kept = split.labels.copy(), np.ones(len(split), np.bool_)
    for fix in fixes:
        if fix.action == "relabel":
            labels[place[fix.path]] = class_names.index(fix.class_name)
        kept[place[fix.path]] = fix.action != "drop"
    return replace(split, labels=labels).subset(np.flatnonzero(kept))


def _check_left(splits: Mapping[SplitName, Split], class_names: Sequence[str]) -> None:
    for name, split in splits.items():
        if not len(split):
            raise DataError(f"the fixes leave no image in the {name} split")
    counts = np.bincount(splits["train"].labels, minlength=len(class_names))
    if not counts.all():
        raise DataError(f"the fixes leave no image of the class {class_names[int(counts.argmin())]!r} to train with")


def fixed_fingerprint(before: str, fixes: Sequence[Fix]) -> str:
    """The fingerprint of data with fixes applied: a hexadecimal hash of the data's own one and of what changes.

    Args:
        before: the fingerprint of the data without fixes.
        fixes: in whatever order; a fix that only says "keep" changes nothing.
    """
    changes = sorted((fix.split, fix.path, fix.action, fix.class_name) for fix in fixes if fix.action != "keep")
    if not changes:
        return before
    lines = [before, *("\0".join(change) for change in changes)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[: len(before)]


def _note(fixes: Sequence[Fix]) -> str:
    dropped, relabeled = (sum(fix.action == action for fix in fixes) for action in ("drop", "relabel"))
    return f"fixes applied: {counted(dropped, 'image')} dropped, {relabeled:,} relabeled"
