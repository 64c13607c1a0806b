"""Label file of a labeling: path, label, who gave it, confidence, and probability of being asked."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from saccade.labeling.new_file import atomic_result


@dataclass(frozen=True)
class LabeledImage:
    """A label; the attributes are the columns of the file.

    Attributes:
        file_name: path of the image.
        label: name of the class.
        who: "person", "group" for a label that a person gave to several images at once, or "model".
        confidence: estimated probability that a label is right, 0 to 1; None for a person's label.
        probability_asked: probability with which a person was asked, 0 to 1; 1 for an image that was chosen.
        hash: content hash of the image, hexadecimal.
    """

    file_name: str
    label: str
    who: str
    confidence: float | None
    probability_asked: float
    hash: str


COLUMNS = tuple(field.name for field in fields(LabeledImage))
"""Columns of the label file."""


def is_result(path: Path) -> bool:
    """Return whether a file is the label file of a labeling, in which some labels may be by a model."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return next(csv.reader(stream), None) == list(COLUMNS)
    except (OSError, ValueError, csv.Error):
        return False


def write_label_file(images: Sequence[LabeledImage], path: Path, root: str) -> None:
    """Write a label file, which `train`, `evaluate` and `explore` take.

    Paths are relative to the folder of the file if the images are below it, or else to the folder of the images.

    Args:
        images: labels.
        path: path of the new file.
        root: folder of the images; "" for those of an archive.

    Raises:
        DataError: the file can't be written.
    """
    here = Path(os.path.abspath(path.parent))  # noqa: PTH100 - keeps symbolic links
    is_below = bool(root) and Path(root).is_relative_to(here)
    prefix = Path(root).relative_to(here) if is_below else Path()
    with atomic_result(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for image in images:
            confidence = "" if image.confidence is None else image.confidence
            name = (prefix / image.file_name).as_posix()
            writer.writerow([name, image.label, image.who, confidence, image.probability_asked, image.hash])
