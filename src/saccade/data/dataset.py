"""Dataset, Split, Fix and Preprocessing: the values that all other packages take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from saccade.data.reading_options import ReadingOptions
from saccade.errors import DataError
from saccade.image_fit import Fit
from saccade.sanitize import counted, printable, shortened

SplitName = Literal["train", "validation", "test"]
_MAX_MEGAPIXELS = 10_000
_MAX_NAME_LENGTH = 60  # in a `repr`
_ITERATED = 64  # images that an iteration reads at a time
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")


def _max_pixels() -> int:
    text = os.environ.get("SACCADE_MAX_MEGAPIXELS", "").strip() or "100"
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_MEGAPIXELS:
        raise DataError(
            "the limit of pixels in an image is invalid",
            expected=f"1 to {_MAX_MEGAPIXELS} (million) in SACCADE_MAX_MEGAPIXELS",
            found=repr(text),
        )
    return int(text) * 1_000_000


FULL_BITS = 16
"""Bits of a sample of 16 bits."""


def slices_of(n: int, size: int) -> list[slice]:
    """Return the slices that divide n images into chunks of a size; the last chunk may be smaller."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@dataclass(frozen=True)
class Preprocessing:
    """Conversion of an encoded image of any size and mode to an array; every run stores its preprocessing.

    The image is rotated by its EXIF orientation, composited over `background` where it is transparent, and converted to
    8-bit RGB. Then Pillow's antialiasing bicubic filter resizes the image to `height` x `width`, as `fit` says. A JPEG
    of more than four times the size is first reduced by the JPEG decoder, to at least twice the size. An image of the
    right size is not resized.

    Attributes:
        height: height of the array, in pixels.
        width: width of the array, in pixels.
        background: RGB color behind transparent pixels, and around the image with fit "pad"; 0 to 255.
        max_pixels: largest number of pixels of an image; a larger image is unreadable and is not decoded. The default
            is 100 million, or `SACCADE_MAX_MEGAPIXELS` million.
        fit: conversion of the aspect ratio: the center of the image ("crop", the default), the whole image with edges
            of the background color ("pad"), or the whole image with another aspect ratio ("squash").
        sample_bits: number of low bits that the 16-bit gray samples of the data use, 8 to 16; the eight highest of them
            are kept.
    """

    height: int
    width: int
    background: tuple[int, int, int] = (255, 255, 255)
    max_pixels: int = field(default_factory=_max_pixels)
    fit: Fit = "crop"
    sample_bits: int = FULL_BITS


@dataclass(frozen=True)
class UnreadableImage:
    """Image that could not be read.

    Attributes:
        path: path relative to the root of the data, with `/` as separator.
        split: split of the image.
        reason: short clause, such as "truncated JPEG".
    """

    path: str
    split: SplitName
    reason: str


@dataclass(frozen=True)
class Fix:
    """Correction of one image: the image is dropped or gets another label.

    Attributes:
        path: name of the image in the dataset.
        split: split of the image.
        action: "drop", "relabel", or "keep", which records that a person checked the image.
        class_name: new class of a relabeled image; otherwise empty.
    """

    path: str
    split: SplitName
    action: Literal["keep", "relabel", "drop"]
    class_name: str = ""


class StreamedPixels(Protocol):
    """Pixels of images that are decoded when they are needed, in place of an array of decoded images."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array that would hold all decoded images: [rows, height, width, 3]."""

    def read_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of each batch, given by its rows, uint8 [n, height, width, 3], decoded ahead of the caller.

        Raises:
            DataError: a file has changed since it was listed.
        """


PixelStore = NDArray[np.uint8] | StreamedPixels
"""Decoded images by row: an array of shape [rows, height, width, 3], memory-mapped, or a decoder."""


def read_batches(store: PixelStore, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of each batch, given by its rows, as new arrays of shape [n, height, width, 3], uint8.

    Every reader of more than a few images reads them here, so that images are decoded ahead of their use.
    """
    if isinstance(store, np.ndarray):
        return (store[rows] for rows in batches)
    return store.read_ahead(batches)


@dataclass(frozen=True)
class Split:
    """Images of one split in a fixed order, stored as rows of a memory-mapped array, or decoded when they are needed.

    Attributes:
        store: decoded images of all splits, array of shape [rows, height, width, 3], uint8, read-only; or their
            decoder.
        rows: row of `store` that holds each image, array of shape [n], int64.
        labels: label of each image, array of shape [n], int64, in [0, number of classes).
        names: n names of images: paths relative to the root of the data, or numbers.
        hashes: n content hashes of the encoded files, hexadecimal; equal for byte-identical files.
        sizes: original height and width of each image in pixels, array of shape [n, 2], int32.
        modes: n original modes, such as "RGB", "L", "P", "CMYK", "I;16".
        formats: n file formats, such as "JPEG".
        duplicate_groups: group of each image, array of shape [n], int64; equal for exact duplicates, for
            near-duplicates, and for images of one group of the data, such as a patient. Near-duplicates are searched
            only among images that Saccade, and not the data, splits. Groups with images of a group of the data have
            negative numbers: they are never divided.
    """

    store: PixelStore
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    names: Sequence[str]
    hashes: Sequence[str]
    sizes: NDArray[np.int32]
    modes: Sequence[str]
    formats: Sequence[str]
    duplicate_groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, position: int) -> tuple[NDArray[np.uint8], int]: ...

    @overload
    def __getitem__(self, position: slice) -> Split: ...

    def __getitem__(self, position: int | slice) -> tuple[NDArray[np.uint8], int] | Split:
        """Return the image at a position, uint8 [height, width, 3], and its label; for a slice, a split.

        Raises:
            IndexError: there is no such position.
        """
        if isinstance(position, slice):
            return self.subset(np.arange(len(self), dtype=np.int64)[position])
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of a split of {counted(len(self), 'image')}")
        return self.take(np.array([position]))[0], int(self.labels[position])

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        slices = slices_of(len(self), _ITERATED)
        for batch, images in zip(slices, self.batches(slices), strict=True):
            yield from zip(images, self.labels[batch].tolist(), strict=True)

    def to_numpy(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return all images, uint8 [n, height, width, 3], and their labels, int64 [n], as new arrays."""
        return self.take(slice(None)), self.labels.copy()

    def __repr__(self) -> str:
        return f"<Split: {counted(len(self), 'image')} of {self.store.shape[2]}x{self.store.shape[1]} pixels>"

    def take(self, positions: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """Return the images at `positions` as a new array of shape [len(positions), height, width, 3], uint8."""
        return next(self.batches([positions]))

    def batches(self, positions: Iterable[NDArray[np.int64] | slice]) -> Iterator[NDArray[np.uint8]]:
        """Yield the images at the positions of each batch, as `take` returns them, read ahead of the caller."""
        return read_batches(self.store, (self.rows[batch] for batch in positions))

    def subset(self, positions: NDArray[np.int64]) -> Split:
        """Return a split of the images at `positions`, in the order of `positions`."""
        return Split(
            store=self.store,
            rows=self.rows[positions],
            labels=self.labels[positions],
            names=[self.names[i] for i in positions],
            hashes=[self.hashes[i] for i in positions],
            sizes=self.sizes[positions],
            modes=[self.modes[i] for i in positions],
            formats=[self.formats[i] for i in positions],
            duplicate_groups=self.duplicate_groups[positions],
        )

    @classmethod
    def joined(cls, splits: Sequence[Split]) -> Split:
        """Concatenate splits that share one array of decoded images."""
        return cls(
            store=splits[0].store,
            rows=np.concatenate([split.rows for split in splits]),
            labels=np.concatenate([split.labels for split in splits]),
            names=[name for split in splits for name in split.names],
            hashes=[content for split in splits for content in split.hashes],
            sizes=np.concatenate([split.sizes for split in splits]),
            modes=[mode for split in splits for mode in split.modes],
            formats=[name for split in splits for name in split.formats],
            duplicate_groups=np.concatenate([split.duplicate_groups for split in splits]),
        )


@dataclass(frozen=True)
class Dataset:
    """Labeled images, decoded to one size.

    Attributes:
        name: short name for the names of runs: "cifar10", "digits", or the stem of the folder or archive.
        source: name of the data, or absolute path of the folder or archive.
        class_names: names of the classes, sorted, in the order of their labels, equal for all splits.
        splits: splits by name: "train" and "test", and "validation" where the data has a validation split.
        preprocessing: preprocessing of the images.
        fingerprint: hash of the path, split, class and contents of every image, hexadecimal; independent of the
            preprocessing and of the path of the data.
        unreadable: images that could not be read.
        test_is_made: whether Saccade made the test split because the data has none.
        notes: messages that every command prints, such as how a missing test split was made.
        strays: messages, among the notes, about files and folders beside the classes or the splits.
        fixes: fixes of `apply_fixes`.
        layout: layout of the files in words, such as "CLASS/image"; empty for data of a name.
        root: folder to which the names of the images are relative; empty for an archive and for data of a name.
        reading: options with which the data was read.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    preprocessing: Preprocessing
    fingerprint: str
    unreadable: tuple[UnreadableImage, ...] = ()
    test_is_made: bool = False
    notes: tuple[str, ...] = field(default=())
    strays: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    layout: str = ""
    root: str = ""
    reading: ReadingOptions = field(default_factory=ReadingOptions)

    def __repr__(self) -> str:
        images = ", ".join(f"{len(split):,} {name}" for name, split in self.splits.items())
        size = f"{self.preprocessing.width}x{self.preprocessing.height}"
        details = f"{len(self.class_names):,} classes, {images} images of {size} pixels"
        unreadable = f", {len(self.unreadable):,} unreadable" if self.unreadable else ""
        return f"<Dataset {shortened(printable(self.name), _MAX_NAME_LENGTH)}: {details}{unreadable}>"

    def __len__(self) -> int:
        """Return the number of splits: a dataset is a mapping of splits, as `splits` is."""
        return len(self.splits)

    def __getitem__(self, name: SplitName) -> Split:
        return self.splits[name]

    def __iter__(self) -> Iterator[SplitName]:
        return iter(self.splits)

    def to_numpy(self) -> dict[SplitName, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Return images and labels of each split, by its name, as `Split.to_numpy` does."""
        return {name: split.to_numpy() for name, split in self.splits.items()}

    def require_all(self) -> None:
        """Require that all images can be read.

        Raises:
            DataError: there are unreadable images; the error names the first.
        """
        if self.unreadable:
            first = self.unreadable[0]
            raise DataError(
                f"{counted(len(self.unreadable), 'image')} of '{self.name}' can't be read",
                found=f"{first.path}: {first.reason}" + (", and others" if len(self.unreadable) > 1 else ""),
                remedy="repair or remove these files (list: saccade explore), or run without --strict",
            )
