"""One image in memory that is to be classified: its name in results, and its contents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from saccade.data.dataset import Dataset, Split
from saccade.data.sources.memory.encode import encode_image, is_image, require_images
from saccade.data.sources.memory.tables import images_of_rows, is_data_frame, is_hugging_face
from saccade.errors import DataError


@dataclass(frozen=True)
class EncodedImage:
    """An image in memory.

    Attributes:
        name: name in results, such as "image 0".
        contents: contents of an image file.
    """

    name: str
    contents: bytes

    def __str__(self) -> str:
        return self.name


def images_in(value: object) -> Iterable[object]:
    """Return the images or paths in a value: itself where it is one, each image of an array of images, or its items.

    The items of a DataFrame and of a data set of Hugging Face are the images of its rows.
    An array of three axes is several gray images unless its last axis has at most four entries, or its first three or
    four.
    """
    if is_data_frame(value) or is_hugging_face(value):
        return images_of_rows(value)
    if isinstance(value, Split):
        return [image for image, _ in value]
    if isinstance(value, Dataset):
        names = ", ".join(f"dataset[{name!r}]" for name in value)
        raise DataError("a dataset has several splits", expected=f"one of them: {names}", found="a Dataset")
    if is_image(value):
        return [value]
    if hasattr(value, "__array__") and not hasattr(value, "iloc") and np.asarray(value).dtype.kind not in "OUS":
        require_images(np.asarray(value))
        return list(np.asarray(value))
    return value if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else [value]


def encoded(value: Any, position: int, largest: float | None = None) -> EncodedImage:
    """Return an image in memory with its contents; the name is that of its file, if it has one, or its position.

    Args:
        value: image, as for `encode_image`.
        position: position among the images of a call.
        largest: largest value of all arrays of floats of the call.

    Raises:
        DataError: the value is no image.
    """
    name = getattr(value, "filename", "") if isinstance(value, Image.Image) else getattr(value, "name", "")
    return EncodedImage(
        name if isinstance(name, str) and name else f"image {position}", encode_image(value, largest=largest)
    )
