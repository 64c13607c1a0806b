"""A label file of a dataset: what was read, for other programs and for corrections."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from saccade.atomic_io import atomic_write
from saccade.data.cache import disk_cache
from saccade.data.dataset import Dataset
from saccade.data.load import groups_of_images
from saccade.data.sources.label_files.label_file import absolute_path
from saccade.errors import DataError

_SUFFIXES = (".csv", ".tsv")


def write_labels(dataset: Dataset, path: Path) -> Path:
    """Write a CSV file with the columns file_name, label and split, and group where the data has groups.

    Paths are relative to the folder of the file if all images are below this folder, or else to the folder of the
    images. The split is written where the data and not Saccade makes it, so that the file is read as the data was. A
    group is written by its name in the data.

    Args:
        dataset: dataset of image files in a folder.
        path: path of the new file.

    Returns:
        Folder to which the paths are relative.

    Raises:
        DataError: the images are not files in a folder, or the file exists or can't be written.
    """
    if dataset.root and Path(dataset.root).is_relative_to(disk_cache.cache_folder()):
        raise DataError(
            f"the images of '{dataset.name}' are inside a Parquet file, and have no paths",
            remedy="the Parquet file is a label file itself: change its labels",
        )
    if not dataset.root:
        raise DataError(
            f"the images of '{dataset.name}' are not files in a folder",
            expected="a folder or a label file",
            remedy="unpack the archive and give the folder" if dataset.layout else None,
        )
    require_no_file(path)
    here, root = Path(os.path.abspath(path.parent)), Path(dataset.root)  # noqa: PTH100 - keeps symbolic links
    names = [name for split in dataset.splits.values() for name in split.names]
    is_below = root.is_relative_to(here) and not any(name.startswith("../") for name in names)
    try:
        with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            writer = csv.writer(stream, lineterminator="\n", delimiter=delimiter)
            writer.writerows(_rows(dataset, root.relative_to(here).as_posix() if is_below else "."))
    except OSError as error:
        raise DataError(f"the label file '{path}' can't be written: {error.strerror}") from None
    return here if is_below else root


def _rows(dataset: Dataset, prefix: str) -> list[list[str]]:
    """Return the header and the sorted rows; `prefix` is the folder of the images, "." for none."""
    has_groups = any((split.duplicate_groups < 0).any() for split in dataset.splits.values())
    group_of = groups_of_images(dataset.source, dataset.reading) if has_groups else {}
    header = ["file_name", "label"]
    header += ([] if dataset.test_is_made else ["split"]) + (["group"] if has_groups else [])
    rows = []
    for name, split in dataset.splits.items():
        for image, label in zip(split.names, split.labels.tolist(), strict=True):
            row = [image if prefix == "." else f"{prefix}/{image}", dataset.class_names[label]]
            row += [] if dataset.test_is_made else [name]
            rows.append(row + ([group_of.get(absolute_path(dataset.root, image), "")] if has_groups else []))
    return [header, *sorted(rows)]


def names_changed_by_label_file(dataset: Dataset) -> list[str]:
    """Return the names of classes that a label file does not keep: their spaces at the ends are not read."""
    return [name for name in dataset.class_names if name != name.strip()]


def require_no_file(path: Path) -> None:
    """Check that there is no file at a path, and that its suffix is that of a table that is written.

    Raises:
        DataError: there is one, or the suffix is another one.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(
            f"'{path}' can't be written", expected=f"a name that ends in {' or '.join(_SUFFIXES)}",
            found=path.suffix or "a name without a suffix",
        )  # fmt: skip
    if path.exists():
        raise DataError(f"'{path}' exists already; nothing is overwritten", remedy="name another file")
