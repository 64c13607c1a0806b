"""Decoded data: one array file with all pixels, and an index of what they are, in an entry of the cache.

The entry's key is made of the fingerprint of the contents, the preprocessing and the decoder's version; where the
images lie does not matter.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.dataset import SPLIT_NAMES, Dataset, Preprocessing, Split, SplitName, UnreadableImage
from saccade.data.decoding.decode import DECODER_VERSION
from saccade.data.splits import TEST_NOTE, choose_test
from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

_INDEX_VERSION = 2
_PIXELS = "pixels.npy"
_INDEX = "index.json"


@dataclass(frozen=True)
class Index:
    """Everything about decoded data but the pixels; one item in each column for each readable image, in order.

    Attributes:
        class_names: in the order of their labels.
        fingerprint: of the contents, as in `Dataset`.
        rows: the rows of the array; the others belong to images that were refused.
        splits: the split of each image.
        labels: as in `Split`.
        names: as in `Split`.
        hashes: as in `Split`.
        sizes: the original height and width.
        modes: as in `Split`.
        formats: as in `Split`.
        duplicate_groups: as in `Split`.
        unreadable: the images that could not be read.
        test_is_made: as in `Dataset`.
        notes: what the user must be told about the splits.
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


@dataclass(frozen=True)
class DecodedData:
    """Images of one size and what they are.

    Attributes:
        store: uint8 array of shape [rows, height, width, 3], memory-mapped and read-only.
        index: what the rows are.
        preprocessing: how the images were brought to their size.
        entry: the folder in the cache that holds them.
    """

    store: NDArray[np.uint8]
    index: Index
    preprocessing: Preprocessing
    entry: Path

    def dataset(self, *, name: str, source: str, notes: Sequence[str] = ()) -> Dataset:
        """The dataset, with further notes before those on the splits."""
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
        )


def fingerprint_of(class_names: Sequence[str], images: Sequence[tuple[str, SplitName, int, str]]) -> str:
    """A hash of every image's path, split, class and contents, in hexadecimal.

    Args:
        class_names: in the order of their labels.
        images: path or name, split, label and content hash of each, in a fixed order.
    """
    lines = [f"{split}\0{class_names[label]}\0{path}\0{content}" for path, split, label, content in images]
    return hashlib.sha256("\n".join([*class_names, *lines]).encode(errors="surrogateescape")).hexdigest()


def _with_duplicates_and_test(index: Index, store: NDArray[np.uint8], *, progress: bool) -> Index:
    """The index with `duplicate_groups`, and with a test split made of a part of the training split where it has none.

    Args:
        index: without `duplicate_groups`.
        store: the pixels that its rows belong to.
        progress: whether to show progress on standard error.

    Raises:
        DataError: if there are too few different images for a test split.
    """
    duplicate_groups = _duplicate_groups(index, store, progress=progress)
    if "test" in index.splits:
        return replace(index, duplicate_groups=duplicate_groups)
    training = [position for position, split in enumerate(index.splits) if split == "train"]
    chosen = choose_test(
        [index.hashes[i] for i in training],
        [index.labels[i] for i in training],
        [duplicate_groups[i] for i in training],
    )
    if not chosen.any():
        raise DataError(
            "there are too few images to keep some of them for testing",
            expected="at least two different images in a class",
            found=f"{len(training)} images, of which no two in a class differ",
        )
    splits = list(index.splits)
    for position in np.array(training)[chosen]:
        splits[position] = "test"
    return replace(
        index, splits=splits, duplicate_groups=duplicate_groups, test_is_made=True, notes=(*index.notes, TEST_NOTE)
    )


def _duplicate_groups(index: Index, store: NDArray[np.uint8], *, progress: bool) -> list[int]:
    """Looks for near-duplicates only among images that will be parted; the others have numbers of their own."""
    from saccade.data.near_duplicates.near_duplicates import (
        find_near_duplicates,  # not above: SciPy takes a quarter of a second to import
    )

    duplicate_groups = np.arange(len(index.rows))
    if not {"validation", "test"} <= set(index.splits):
        candidates = np.flatnonzero(np.asarray(index.splits) == "train")
        rows = np.asarray(index.rows, np.int64)[candidates]
        hashes = [index.hashes[position] for position in candidates.tolist()]
        near = find_near_duplicates(store, rows, hashes, progress=progress).near
        duplicate_groups[candidates] = candidates[np.unique(near, return_index=True)[1]][near]
    return duplicate_groups.tolist()


def open_decoded(fingerprint: str, preprocessing: Preprocessing) -> DecodedData | None:
    """Decoded data from the cache, or None where it isn't there or is damaged."""
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
    """Keeps in the cache what `array_file` wrote in the folder `built`, with its index, and opens it.

    An index without `duplicate_groups` gets them, and a test split if it has none.

    Raises:
        DataError: if there are too few different images for a test split.
    """
    if not index.duplicate_groups:
        store = np.load(built / _PIXELS, mmap_mode="r", allow_pickle=False)
        index = _with_duplicates_and_test(index, store, progress=progress)
    (built / _INDEX).write_text(to_json(index), encoding="utf-8")
    return _read(disk_cache.keep(built, "decoded", _key(index.fingerprint, preprocessing), name), preprocessing)


@contextmanager
def array_file(built: Path, images: int, preprocessing: Preprocessing) -> Iterator[BinaryIO]:
    """The array file in a folder from `cache.building`, open to write the pixels of all images, one after the other.

    Raises:
        DataError: if the disk has too little space for it.
    """
    shape = (images, preprocessing.height, preprocessing.width, 3)
    if shutil.disk_usage(built).free < images * preprocessing.height * preprocessing.width * 3:
        raise disk_cache.no_space(built)
    with (built / _PIXELS).open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        yield stream


def _key(fingerprint: str, preprocessing: Preprocessing) -> str:
    versions = json.dumps([asdict(preprocessing), DECODER_VERSION, _INDEX_VERSION])
    digest = hashlib.sha256(versions.encode()).hexdigest()[:8]
    return f"{fingerprint[:32]}-{preprocessing.height}x{preprocessing.width}-{digest}"


def _read(entry: Path, preprocessing: Preprocessing) -> DecodedData:
    index = from_json(Index, (entry / _INDEX).read_text(encoding="utf-8"))
    store = np.load(entry / _PIXELS, mmap_mode="r", allow_pickle=False)
    return DecodedData(np.asarray(store), index, preprocessing, entry)


def _splits(index: Index, store: NDArray[np.uint8]) -> dict[SplitName, Split]:
    everything = Split(
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
    of_split = np.array(index.splits)
    present = [split for split in SPLIT_NAMES if split in index.splits]
    return {split: everything.subset(np.flatnonzero(of_split == split)) for split in present}
