"""Cache of decoded data: an entry holds one array file with all pixels, and an index of the images.

The key of an entry consists of the fingerprint of the contents, the preprocessing and the decoder's version, but
not of the path of the data.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import SPLIT_NAMES, Dataset, PixelStore, Preprocessing, Split, SplitName, UnreadableImage
from saccade.data.decoding.decode import DECODER_VERSION
from saccade.data.decoding.fit import content_boxes
from saccade.data.reading_options import ReadingOptions
from saccade.data.splits import TEST_NOTE, choose_test, join_groups
from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

_INDEX_VERSION = 3
_PIXELS = "pixels.npy"
_INDEX = "index.json"
THUMBNAILS = "thumbnails.npy"
"""File of a folder in which the entry of a `StreamedIndex` is built."""


@dataclass(frozen=True)
class Index:
    """Index of decoded data: all values but the pixels; each column has one item for each readable image.

    Attributes:
        class_names: names of the classes, in the order of their labels.
        fingerprint: hash of the contents, as in `Dataset`.
        rows: row of the array that holds each image; the other rows belong to unreadable images.
        splits: split of each image.
        labels: label of each image.
        names: name of each image, as in `Split`.
        hashes: content hash of each image, as in `Split`.
        sizes: original height and width of each image, in pixels.
        modes: original mode of each image, as in `Split`.
        formats: file format of each image, as in `Split`.
        duplicate_groups: group of duplicates of each image, as in `Split`; empty before the search for duplicates.
        unreadable: images that could not be read.
        test_is_made: whether Saccade made the test split, as in `Dataset`.
        notes: messages about the splits that every command prints.
        groups: number of the group of each image in the data, such as a patient, whose images stay in one split; -1 for
            an image without a group. Empty if the data has no groups.
    """

    class_names: Sequence[str]
    fingerprint: str
    rows: Sequence[int]
    splits: Sequence[SplitName]
    labels: Sequence[int]
    names: Sequence[str]
    hashes: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    modes: Sequence[str]
    formats: Sequence[str]
    duplicate_groups: Sequence[int] = ()
    unreadable: Sequence[UnreadableImage] = ()
    test_is_made: bool = False
    notes: Sequence[str] = ()
    groups: Sequence[int] = ()


@dataclass(frozen=True)
class DecodedData:
    """Decoded images of one size, and their index.

    Attributes:
        store: images by row, as in `Split`.
        index: index of the images.
        preprocessing: preprocessing of the images.
    """

    store: PixelStore
    index: Index
    preprocessing: Preprocessing

    def dataset(
        self,
        *,
        name: str,
        source: str,
        layout: str = "",
        root: str = "",
        notes: Sequence[str] = (),
        strays: Sequence[str] = (),
        reading: ReadingOptions | None = None,
    ) -> Dataset:
        """Return the dataset, with `notes` before the notes about the splits."""
        index = self.index
        return Dataset(
            name=name,
            source=source,
            class_names=tuple(index.class_names),
            splits=_splits(index, self.store),
            preprocessing=self.preprocessing,
            fingerprint=index.fingerprint,
            unreadable=tuple(index.unreadable),
            test_is_made=index.test_is_made,
            notes=(*notes, *index.notes),
            strays=tuple(strays),
            layout=layout,
            root=root,
            reading=reading or ReadingOptions(),
        )


def fingerprint_of(class_names: Sequence[str], images: Iterable[tuple[str, SplitName, int, str]]) -> str:
    """Return a hash of the path, split, class and contents of every image, in hexadecimal.

    Args:
        class_names: names of the classes, in the order of their labels.
        images: path or name, split, label and content hash of each image, in a fixed order.
    """
    lines = [f"{split}\0{class_names[label]}\0{path}\0{content}" for path, split, label, content in images]
    return hashlib.sha256("\n".join([*class_names, *lines]).encode(errors="surrogateescape")).hexdigest()


def _with_duplicates_and_test(
    index: Index, store: NDArray[np.uint8], preprocessing: Preprocessing | None, *, progress: bool
) -> Index:
    """Return the index with `duplicate_groups`, and with a test split held out of the training split if there is none.

    Args:
        index: index without `duplicate_groups`.
        store: decoded images, or their thumbnails without padding, by row.
        preprocessing: preprocessing of the decoded images; None for thumbnails.
        progress: whether to show progress on standard error.

    Raises:
        DataError: there are too few different images for a test split.
    """
    duplicate_groups = _duplicate_groups(index, store, preprocessing, progress=progress)
    if "test" in index.splits:
        return replace(index, duplicate_groups=duplicate_groups)
    training = [position for position, split in enumerate(index.splits) if split == "train"]
    chosen = choose_test(
        [index.hashes[i] for i in training],
        [index.labels[i] for i in training],
        [duplicate_groups[i] for i in training],
    )
    if not chosen.any():
        raise _no_test_split(index, len(training))
    splits = list(index.splits)
    for position in np.array(training)[chosen]:
        splits[position] = "test"
    return replace(
        index, splits=splits, duplicate_groups=duplicate_groups, test_is_made=True, notes=(*index.notes, TEST_NOTE)
    )


def _no_test_split(index: Index, num_training: int) -> DataError:
    if any(group >= 0 for group in index.groups):
        return DataError(
            "there are too few groups for a test split",
            expected="at least two groups of the data, such as patients, in a class",
            found=f"{num_training} images, of which no group can be left out without a class",
            remedy="name another column with --group-column, or the test images with --split-column",
        )
    return DataError(
        "there are too few images for a test split",
        expected="at least two different images in a class",
        found=f"{num_training} images, of which no two in a class differ",
        remedy="if the labels are measured numbers, they are no classes: name another column with --label-column"
        if len(index.class_names) == num_training
        else None,
    )


def _duplicate_groups(
    index: Index, store: NDArray[np.uint8], preprocessing: Preprocessing | None, *, progress: bool
) -> list[int]:
    """Return the group of duplicates of each image; near-duplicates only among images that Saccade splits."""
    # Imported here because SciPy takes a quarter of a second to import.
    from saccade.data.near_duplicates.near_duplicates import find_near_duplicates

    duplicate_groups = np.arange(len(index.rows))
    if needs_near_duplicates(index.splits):
        candidates = np.flatnonzero(np.asarray(index.splits) == "train")
        rows = np.asarray(index.rows, np.int64)[candidates]
        hashes = [index.hashes[position] for position in candidates.tolist()]
        sizes = np.array(index.sizes, np.int32).reshape(-1, 2)[candidates]
        boxes = None if preprocessing is None else content_boxes(sizes, preprocessing)
        near = find_near_duplicates(store, rows, hashes, boxes=boxes, progress=progress).near
        duplicate_groups[candidates] = candidates[np.unique(near, return_index=True)[1]][near]
    return join_groups(duplicate_groups, index.groups).tolist() if index.groups else duplicate_groups.tolist()


def needs_near_duplicates(splits: Iterable[SplitName]) -> bool:
    """Return whether Saccade makes a split of images with these splits, so that near-duplicates must be searched."""
    return not {"validation", "test"} <= set(splits)


def open_decoded(fingerprint: str, preprocessing: Preprocessing) -> DecodedData | None:
    """Return decoded data from the cache, or None where the entry is missing or damaged."""
    entry = disk_cache.find_entry("decoded", _key(fingerprint, preprocessing))
    if entry is None:
        return None
    try:
        return _read(entry, preprocessing)
    except (OSError, ValueError):
        disk_cache.remove_entry(entry)
        return None


def keep_decoded(
    built: Path, index: Index, preprocessing: Preprocessing, name: str, *, progress: bool = False
) -> DecodedData:
    """Keep the array that `array_file` wrote into the folder `built`, with its index, in the cache, and open the entry.

    An index without `duplicate_groups` gets duplicate groups, and a test split if there is none.

    Raises:
        DataError: there are too few different images for a test split.
    """
    if not index.duplicate_groups:
        store = np.load(built / _PIXELS, mmap_mode="r", allow_pickle=False)
        index = _with_duplicates_and_test(index, store, preprocessing, progress=progress)
    (built / _INDEX).write_text(to_json(index), encoding="utf-8")
    return _read(disk_cache.keep(built, "decoded", _key(index.fingerprint, preprocessing), name), preprocessing)


@dataclass(frozen=True)
class StreamedIndex:
    """Place in the cache of the index of images that are decoded when they are needed.

    Attributes:
        signature: text that changes with the files, whose order gives the rows, and with how they are read.
        preprocessing: preprocessing of the images.
    """

    signature: str
    preprocessing: Preprocessing

    @property
    def _entry(self) -> tuple[str, str]:
        return "indexes", _key(
            hashlib.sha256(self.signature.encode(errors="surrogateescape")).hexdigest(), self.preprocessing
        )

    def open(self) -> Index | None:
        """Return the index from the cache, or None where the entry is missing or damaged."""
        entry = disk_cache.find_entry(*self._entry)
        if entry is None:
            return None
        try:
            return _read_index(entry)
        except (OSError, ValueError):
            disk_cache.remove_entry(entry)
            return None

    def keep(self, built: Path, index: Index, name: str, *, progress: bool = False) -> Index:
        """Keep an index in the cache, and return it with the groups and the test split of `keep_decoded`.

        Args:
            built: folder from `disk_cache.building`, which holds the thumbnails of all rows in the file
                `thumbnails.npy` where near-duplicates must be searched.
            index: index without duplicate groups.
            name: name of the data, for the user.
            progress: whether to show progress on standard error.

        Raises:
            DataError: there are too few different images for a test split.
        """
        thumbnails = built / THUMBNAILS
        store = np.load(thumbnails, mmap_mode="r", allow_pickle=False) if thumbnails.exists() else np.empty(0, np.uint8)
        index = _with_duplicates_and_test(index, store, None, progress=progress)
        thumbnails.unlink(missing_ok=True)
        (built / _INDEX).write_text(to_json(index), encoding="utf-8")
        disk_cache.keep(built, *self._entry, name)
        return index


def array_file(built: Path, images: int, preprocessing: Preprocessing) -> AbstractContextManager[BinaryIO]:
    """Open the array file in a folder from `disk_cache.building`, to write the pixels of all images in order.

    Args:
        built: folder from `disk_cache.building`.
        images: number of images.
        preprocessing: preprocessing of the images, which gives their size.

    Raises:
        DataError: the disk has too little space for the array.
    """
    shape = (images, preprocessing.height, preprocessing.width, 3)
    if shutil.disk_usage(built).free < images * preprocessing.height * preprocessing.width * 3:
        raise disk_cache.no_space(built, "decode the images when they are needed: --stream")
    return disk_cache.array_stream(built / _PIXELS, "|u1", shape)


def _key(fingerprint: str, preprocessing: Preprocessing) -> str:
    versions = json.dumps([asdict(preprocessing), DECODER_VERSION, _INDEX_VERSION])
    digest = hashlib.sha256(versions.encode()).hexdigest()[:8]
    return f"{fingerprint[:32]}-{preprocessing.height}x{preprocessing.width}-{digest}"


def _read(entry: Path, preprocessing: Preprocessing) -> DecodedData:
    return DecodedData(np.asarray(disk_cache.mapped_array(entry / _PIXELS)), _read_index(entry), preprocessing)


def _read_index(entry: Path) -> Index:
    return from_json(Index, (entry / _INDEX).read_text(encoding="utf-8"))


def _splits(index: Index, store: PixelStore) -> dict[SplitName, Split]:
    all_images = Split(
        store=store,
        rows=np.array(index.rows, np.int64),
        labels=np.array(index.labels, np.int64),
        names=index.names,
        hashes=index.hashes,
        sizes=np.array(index.sizes, np.int32).reshape(-1, 2),
        modes=index.modes,
        formats=index.formats,
        duplicate_groups=np.array(index.duplicate_groups, np.int64),
    )
    split_of_image = np.array(index.splits)
    present = [split for split in SPLIT_NAMES if split in index.splits]
    return {split: all_images.subset(np.flatnonzero(split_of_image == split)) for split in present}
