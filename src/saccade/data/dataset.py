"""Dataset, Split and Preprocessing: the values that everything after the data package works on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saccade.errors import DataError
from saccade.sanitize import counted, printable, shortened

SplitName = Literal["train", "validation", "test"]
_MOST_MEGAPIXELS = 10_000
_MOST_SHOWN = 60  # characters of a name
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")


def _max_pixels() -> int:
    text = os.environ.get("SACCADE_MAX_MEGAPIXELS", "").strip() or "100"
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_MEGAPIXELS:
        raise DataError(
            "the cap on the pixels of an image can't be understood",
            expected=f"1 to {_MOST_MEGAPIXELS} (million) in SACCADE_MAX_MEGAPIXELS",
            found=repr(text),
        )
    return int(text) * 1_000_000


@dataclass(frozen=True)
class Preprocessing:
    """How an image of any size and mode becomes an array: stored in every run and used everywhere.

    The image is turned upright (EXIF), laid over `background` where it is transparent, and converted to 8-bit RGB.
    It is then resized with Pillow's antialiasing bicubic filter so that it just covers `height` x `width`, keeping its
    proportions, and the center is cut out. A JPEG of more than four times the size is first reduced by its own
    decoder, to no less than twice the size. An image that has the size already is left as it is.

    Attributes:
        height: of the resulting array, in pixels.
        width: of the resulting array, in pixels.
        background: the RGB color, 0 to 255, shown through transparent pixels.
        max_pixels: images with more pixels than this are refused before they are decoded: 100 million, or as many
            millions as `SACCADE_MAX_MEGAPIXELS` says.
    """

    height: int
    width: int
    background: tuple[int, int, int] = (255, 255, 255)
    max_pixels: int = field(default_factory=_max_pixels)


@dataclass(frozen=True)
class UnreadableImage:
    """An image that could not be read.

    Attributes:
        path: relative to the data's root, with `/` between its parts.
        split: where it stood.
        reason: one short plain clause, such as "truncated JPEG".
    """

    path: str
    split: SplitName
    reason: str


@dataclass(frozen=True)
class Fix:
    """A correction of one image.

    Attributes:
        path: the image's name in the dataset.
        split: the image's split.
        action: "keep" changes nothing, and records that a person checked the image.
        class_name: the new class of a relabeled image; empty otherwise.
    """

    path: str
    split: SplitName
    action: Literal["keep", "relabel", "drop"]
    class_name: str = ""


@dataclass(frozen=True)
class Split:
    """The images of one split, in a fixed order, backed by the rows of one memory-mapped array.

    Attributes:
        store: uint8 array of shape [rows, height, width, 3], read-only, shared by all splits of the data.
        rows: int64 array of shape [n]: the row of `store` that holds each image.
        labels: int64 array of shape [n], each in [0, number of classes).
        names: n names of images: paths relative to the data's root, or the data's own numbering.
        hashes: n content hashes (hexadecimal) of the encoded files; equal for byte-identical files.
        sizes: int32 array of shape [n, 2]: the original height and width in pixels.
        modes: n original modes, such as "RGB", "L", "P", "CMYK", "I;16".
        formats: n file formats, such as "JPEG".
        duplicate_groups: int64 array of shape [n]: equal numbers for duplicates of the same image, exact or near.
            Near-duplicates are known only among images that Saccade, and not the data, parts into splits.
    """

    store: NDArray[np.uint8]
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

    def __repr__(self) -> str:
        return f"<Split: {counted(len(self), 'image')} of {self.store.shape[2]}x{self.store.shape[1]} pixels>"

    def take(self, positions: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """The images at these positions: a new uint8 array of shape [len(positions), height, width, 3]."""
        return np.asarray(self.store[self.rows[positions]])

    def subset(self, positions: NDArray[np.int64]) -> Split:
        """The split that holds only the images at these positions, in their order."""
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
        """Splits that are backed by one array, one after the other, as one."""
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
        name: short name, used in the names of runs: "cifar10", "digits", or the stem of the folder or archive.
        source: what finds the data again: a name, or the absolute path of a folder or an archive.
        class_names: in the order of their labels; sorted by name, the same for every split.
        splits: always "train" and "test"; "validation" where the data brings one.
        preprocessing: how each image was brought to its size.
        fingerprint: hexadecimal hash of every image's path, split, class and contents; it depends neither on the
            rule nor on where the data lies.
        unreadable: the images that could not be read.
        test_is_made: whether Saccade, and not the data, says which images are test images.
        notes: sentences that every command must tell the user, such as how a missing test split was made.
        fixes: what was dropped and relabeled by `apply_fixes`.
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
    fixes: tuple[Fix, ...] = ()

    def __repr__(self) -> str:
        images = ", ".join(f"{len(split):,} {name}" for name, split in self.splits.items())
        size = f"{self.preprocessing.width}x{self.preprocessing.height}"
        details = f"{len(self.class_names):,} classes, {images} images of {size} pixels"
        unreadable = f", {len(self.unreadable):,} unreadable" if self.unreadable else ""
        return f"<Dataset {shortened(printable(self.name), _MOST_SHOWN)}: {details}{unreadable}>"

    def require_all(self) -> None:
        """Refuses to go on without the images that could not be read.

        Raises:
            DataError: there are such; the first is named.
        """
        if self.unreadable:
            first = self.unreadable[0]
            raise DataError(
                f"{counted(len(self.unreadable), 'image')} of '{self.name}' can't be read",
                found=f"{first.path}: {first.reason}" + (", and others" if len(self.unreadable) > 1 else ""),
                remedy="mend or remove them (see them all: saccade explore), or leave --strict away",
            )
