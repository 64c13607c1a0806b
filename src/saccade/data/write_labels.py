"""A label file of a dataset: what was read, for other programs and for corrections."""

from __future__ import annotations

import csv
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.data.dataset import Dataset
from saccade.errors import DataError


def write_labels(dataset: Dataset, path: Path) -> None:
    """Write a CSV file with the columns file_name, label and split, and group where the data has groups.

    Paths are relative to the folder of the classes or splits. The split is written where the data and not Saccade
    makes it, so that the file is read as the data was.

    Args:
        dataset: dataset of image files.
        path: path of the new file.

    Raises:
        DataError: the images are no files, or the file exists or can't be written.
    """
    if not dataset.layout:
        raise DataError(f"the images of '{dataset.name}' are no files", expected="a folder, an archive or a label file")
    require_no_file(path)
    has_groups = any((split.duplicate_groups < 0).any() for split in dataset.splits.values())
    has_splits = not dataset.test_is_made
    header = ["file_name", "label", *(["split"] if has_splits else []), *(["group"] if has_groups else [])]
    rows = []
    for name, split in dataset.splits.items():
        for image, label, group in zip(
            split.names, split.labels.tolist(), split.duplicate_groups.tolist(), strict=True
        ):
            row = [image, dataset.class_names[label], *([name] if has_splits else [])]
            rows.append(row + ([str(-group) if group < 0 else ""] if has_groups else []))
    try:
        with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(sorted(rows))
    except OSError as error:
        raise DataError(f"the label file '{path}' can't be written: {error.strerror}") from None


def require_no_file(path: Path) -> None:
    """Check that there is no file at a path.

    Raises:
        DataError: there is one.
    """
    if path.exists():
        raise DataError(f"'{path}' exists already; nothing is overwritten", remedy="name another file")
