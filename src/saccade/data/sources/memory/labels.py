"""Labels of images in memory: names of the classes from text, numbers or one-hot rows."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.data.sources.memory.encode import is_image
from saccade.errors import DataError, type_in_words

_LABELS = "one label for each image: text or whole numbers, or rows with a single 1"


def class_names_of(labels: Any, count: int) -> list[str]:
    """Return the name of the class of each image; a number is its own name.

    Args:
        labels: n labels: a sequence, an array of shape [n] or [n, 1], or one-hot rows, [n, classes].
        count: number of images.

    Raises:
        DataError: there is not one label for each image, or a label is neither text nor a whole number.
    """
    _require_no_missing(labels)
    try:
        values = np.asarray(labels if hasattr(labels, "__array__") else list(labels))
    except (TypeError, ValueError):  # no sequence, or lists of several lengths
        raise DataError("the labels don't fit the images", expected=_LABELS, found=type_in_words(labels)) from None
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2:
        values = _from_one_hot(values)
    if values.ndim != 1 or len(values) != count:
        found = f"{count:,} images, and labels of shape {list(values.shape)}"
        raise DataError("the labels don't fit the images", expected=_LABELS, found=found)
    return [_name(value, position) for position, value in enumerate(values.tolist())]


def _require_no_missing(labels: Any) -> None:
    """Require that no label is NaN, which NumPy would turn into text beside text.

    Raises:
        DataError: a label is NaN.
    """
    if isinstance(labels, list | tuple) or hasattr(labels, "iloc"):
        for position, value in enumerate(labels):
            if isinstance(value, float) and math.isnan(value):
                raise DataError(
                    f"the label of image {position} is missing", expected=_LABELS, found="NaN",
                    remedy="leave out the images without a label",
                )  # fmt: skip


def _from_one_hot(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not np.isin(values, (0, 1)).all() or not (values.sum(axis=1) == 1).all():
        raise DataError("the labels don't fit the images", expected=_LABELS, found="rows with other values")
    return np.asarray(values.argmax(axis=1))


def _name(value: object, position: int) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, bool | int) or (isinstance(value, str) and value.strip()):
        return str(value)
    raise DataError(
        f"the label of image {position} is no class", expected="text or a whole number", found=type_in_words(value)
    )


def are_pairs(value: Sequence[Any]) -> bool:
    """Return whether a sequence is pairs of images and labels, one for each split, as Keras's data sets are."""
    return len(value) in (2, 3) and all(
        isinstance(each, tuple | list)
        and len(each) == 2
        and not isinstance(each[0], str | os.PathLike | int | float)
        and not is_image(each[0])
        for each in value
    )
