"""Labeled images in memory: what a caller gives as data instead of a path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from saccade.data.dataset import SplitName
from saccade.data.decoding.lazy_images import LazyImages
from saccade.data.sources.folder_names import split_folder_name
from saccade.data.sources.memory.encode import (
    TAKEN,
    encode_image,
    is_array,
    is_image,
    largest_of_floats,
    require_images,
)
from saccade.data.sources.memory.labels import are_pairs, class_names_of
from saccade.errors import DataError, type_in_words

IN_MEMORY = "<images in memory>"
"""Source of such data, which is no path."""

DATA = (
    "(images, labels), pairs of them for train and test, a dictionary of pairs by split, a pandas DataFrame, or a data "
    "set of Hugging Face"
)


class EncodedImages(LazyImages):
    """Contents of images, each encoded when it is asked for; a path stays a path.

    Args:
        values: images, as for `encode_image`, or paths.
        largest: largest value of all arrays of floats among them.
    """

    def __init__(self, values: Sequence[Any], largest: float | None) -> None:
        self._values, self._largest = values, largest

    def __len__(self) -> int:
        return len(self._values)

    def at(self, positions: Sequence[int]) -> list[bytes | str]:
        """Return the images at positions."""
        return [self._encoded(self._values[position]) for position in positions]

    def _encoded(self, value: Any) -> bytes | str:
        if isinstance(value, str | os.PathLike):
            return os.path.abspath(os.fspath(value))  # noqa: PTH100 - keeps symbolic links
        return encode_image(value, largest=self._largest)

    def in_order(self, positions: Sequence[int]) -> EncodedImages:
        """Return the images at positions."""
        return EncodedImages([self._values[position] for position in positions], self._largest)

    def digest(self, position: int) -> bytes:
        """Return a hash of an image: by its pixels for an array, by its path, size and time for a path."""
        value = self._values[position]
        if is_array(value):  # sooner than its encoding
            array = np.ascontiguousarray(value)
            return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).digest()
        contents = self[position]
        if isinstance(contents, str):
            status = os.stat(contents) if os.path.exists(contents) else None  # noqa: PTH110, PTH116
            text = f"{contents}\0{status and (status.st_size, status.st_mtime_ns)}"
            contents = text.encode(errors="surrogateescape")
        return hashlib.sha256(contents).digest()


@dataclass(frozen=True)
class LabeledImages:
    """Labeled images of all splits.

    Attributes:
        images: contents or paths of the images.
        labels: name of the class of each image.
        splits: split of each image.
        names: name of each image, all different.
        groups: group of each image, whose images stay in one split; "" for none. Empty without groups.
        notes: messages, such as on the range of the pixels.
    """

    images: EncodedImages
    labels: Sequence[str]
    splits: Sequence[SplitName]
    names: Sequence[str]
    groups: Sequence[str] = ()
    notes: tuple[str, ...] = ()

    def signature(self) -> str:
        """Return a hash of all images, labels and splits."""
        digest = hashlib.sha256()
        for position, (label, split) in enumerate(zip(self.labels, self.splits, strict=True)):
            digest.update(self.images.digest(position))
            group = self.groups[position] if self.groups else ""
            digest.update(f"{label}\0{split}\0{self.names[position]}\0{group}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def labeled_images_of(data: object) -> LabeledImages:
    """Return labeled images from pairs of images and labels: one pair, one for each split, or by the names of splits.

    Args:
        data: `(images, labels)`; `((images, labels), (images, labels))` for train and test, or three for train,
            validation and test; or such pairs by "train", "validation" and "test". Images are an array of shape
            [n, height, width] or [n, height, width, channels], or a sequence of paths and of what `encode_image` takes.

    Raises:
        DataError: the data is nothing of these, or labels don't fit the images.
    """
    pairs = _pairs_by_split(data)
    images: list[Any] = []
    labels: list[str] = []
    splits: list[SplitName] = []
    for split, (values, of_images) in pairs.items():
        found = sequence_of_images(values)
        images += found
        labels += class_names_of(of_images, len(found))
        splits += [split] * len(found)
    return labeled(images, labels, splits)


def labeled(
    images: Sequence[Any], labels: Sequence[str], splits: Sequence[SplitName], groups: Sequence[str] = ()
) -> LabeledImages:
    """Return labeled images; the values are those of the attributes of `LabeledImages`.

    Raises:
        DataError: there are no images.
    """
    if not images:
        raise DataError("there are no images", expected=DATA)
    largest = largest_of_floats(images)
    notes: tuple[str, ...] = ()
    if largest is not None:
        notes = (f"pixels are floats, from 0 to {'1, multiplied by 255' if largest <= 1 else '255, rounded'}",)
    return LabeledImages(EncodedImages(images, largest), labels, splits, _names_of(images), groups, notes)


def _pairs_by_split(data: object) -> dict[SplitName, tuple[Any, Any]]:
    if isinstance(data, Mapping):
        pairs: dict[SplitName, tuple[Any, Any]] = {}
        for name, pair in data.items():
            meaning = split_folder_name(str(name))
            if meaning is None or not isinstance(pair, tuple | list) or len(pair) != 2:
                raise DataError(
                    "the data is no dictionary of images and labels by split",
                    expected='{"train": (images, labels), "test": (images, labels)}', found=f"the key {name!r}",
                )  # fmt: skip
            pairs[meaning.split] = (pair[0], pair[1])
        return pairs
    if isinstance(data, tuple | list) and are_pairs(data):
        names: tuple[SplitName, ...] = ("train", "test") if len(data) == 2 else ("train", "validation", "test")
        return dict(zip(names, ((pair[0], pair[1]) for pair in data), strict=True))
    if isinstance(data, tuple | list) and len(data) == 2:
        return {"train": (data[0], data[1])}
    expected = f"a name, the path of a folder, an archive or a label file, or images in memory: {DATA}"
    raise DataError("this is no data", expected=expected, found=type_in_words(data))


def sequence_of_images(values: Any) -> list[Any]:
    """Return a list of images.

    Raises:
        DataError: the values are no sequence of images.
    """
    if hasattr(values, "__array__") and not isinstance(values, Image.Image) and not hasattr(values, "iloc"):
        array = np.asarray(values)
        if array.dtype != object and array.dtype.kind not in "US":
            require_images(array)
            return list(array)
        values = array.tolist()
    if isinstance(values, str | bytes | os.PathLike | Image.Image) or not hasattr(values, "__iter__"):
        raise DataError(
            "the images are no sequence", expected=f"a sequence of images, each {TAKEN}", found=type_in_words(values)
        )
    found = list(values)
    for position, value in enumerate(found):
        if not isinstance(value, str | os.PathLike) and not is_image(value):
            raise DataError(f"image {position} is no image", expected=TAKEN, found=type_in_words(value))
    # An open file can be read once.
    return [encode_image(value) if hasattr(value, "read") else value for value in found]


def _names_of(images: Sequence[Any]) -> list[str]:
    """Return the path of each image that is given by its path, once; else its position."""
    names: dict[str, None] = {}
    for position, value in enumerate(images):
        name = os.fspath(value) if isinstance(value, str | os.PathLike) else str(position)
        names[str(position) if name in names else name] = None
    return list(names)
