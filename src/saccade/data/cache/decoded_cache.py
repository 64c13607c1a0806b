"""Decoded data: one array file with all pixels, and an index of what they are, in an entry of the cache.

The entry's key is made of the fingerprint of the contents, the picture rule and the decoder's version; where the
pictures lie does not matter.
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
from saccade.data.dataset import SPLIT_NAMES, Dataset, PictureRule, RefusedPicture, Split, SplitName
from saccade.data.decoding.decode import DECODER_VERSION
from saccade.data.splits import TEST_NOTE, choose_test
from saccade.errors import DataError
from saccade.typed_json import from_json, to_json

_INDEX_VERSION = 2
_PIXELS = "pixels.npy"
_INDEX = "index.json"


@dataclass(frozen=True)
class Index:
    """Everything about decoded data but the pixels; one item in each column for each readable picture, in order.

    Attributes:
        class_names: in the order of their labels.
        fingerprint: of the contents, as in `Dataset`.
        rows: the rows of the array; the others belong to pictures that were refused.
        splits: the split of each picture.
        labels: as in `Split`.
        names: as in `Split`.
        hashes: as in `Split`.
        sizes: the original height and width.
        modes: as in `Split`.
        formats: as in `Split`.
        copies: as in `Split`.
        refused: the pictures that could not be read.
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
    copies: Sequence[int] = ()
    refused: Sequence[RefusedPicture] = ()
    test_is_made: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class DecodedData:
    """Pictures of one size and what they are.

    Attributes:
        store: uint8 array of shape [rows, height, width, 3], memory-mapped and read-only.
        index: what the rows are.
        rule: how the pictures were brought to their size.
        entry: the folder in the cache that holds them.
    """

    store: NDArray[np.uint8]
    index: Index
    rule: PictureRule
    entry: Path

    def dataset(self, *, name: str, source: str, notes: Sequence[str] = ()) -> Dataset:
        """The dataset, with further notes before those on the splits."""
        index = self.index
        return Dataset(
            name=name,
            source=source,
            class_names=tuple(index.class_names),
            splits=_splits(index, self.store),
            rule=self.rule,
            fingerprint=index.fingerprint,
            refused=tuple(index.refused),
            test_is_made=index.test_is_made,
            notes=(*notes, *index.notes),
        )


def fingerprint_of(class_names: Sequence[str], pictures: Sequence[tuple[str, SplitName, int, str]]) -> str:
    """A hash of every picture's path, split, class and contents, in hexadecimal.

    Args:
        class_names: in the order of their labels.
        pictures: path or name, split, label and content hash of each, in a fixed order.
    """
    lines = [f"{split}\0{class_names[label]}\0{path}\0{content}" for path, split, label, content in pictures]
    return hashlib.sha256("\n".join([*class_names, *lines]).encode(errors="surrogateescape")).hexdigest()


def _with_copies_and_test(index: Index, store: NDArray[np.uint8], *, progress: bool) -> Index:
    """The index with `copies`, and with a test split made of a part of the training split where it has none.

    Args:
        index: without `copies`.
        store: the pixels that its rows belong to.
        progress: whether to show progress on standard error.

    Raises:
        DataError: if there are too few different pictures for a test split.
    """
    copies = _copies(index, store, progress=progress)
    if "test" in index.splits:
        return replace(index, copies=copies)
    training = [position for position, split in enumerate(index.splits) if split == "train"]
    chosen = choose_test(
        [index.hashes[i] for i in training], [index.labels[i] for i in training], [copies[i] for i in training]
    )
    if not chosen.any():
        raise DataError(
            "there are too few pictures to keep some of them for testing",
            expected="at least two different pictures in a class",
            found=f"{len(training)} pictures, of which no two in a class differ",
        )
    splits = list(index.splits)
    for position in np.array(training)[chosen]:
        splits[position] = "test"
    return replace(index, splits=splits, copies=copies, test_is_made=True, notes=(*index.notes, TEST_NOTE))


def _copies(index: Index, store: NDArray[np.uint8], *, progress: bool) -> list[int]:
    """Looks for near copies only among pictures that will be parted; the others have numbers of their own."""
    from saccade.data.near_duplicates.near_duplicates import (
        find_copies,  # not above: SciPy takes a quarter of a second to import
    )

    copies = np.arange(len(index.rows))
    if not {"validation", "test"} <= set(index.splits):
        parted = np.flatnonzero(np.asarray(index.splits) == "train")
        rows = np.asarray(index.rows, np.int64)[parted]
        hashes = [index.hashes[position] for position in parted.tolist()]
        near = find_copies(store, rows, hashes, progress=progress).near
        copies[parted] = parted[np.unique(near, return_index=True)[1]][near]
    return copies.tolist()


def open_decoded(fingerprint: str, rule: PictureRule) -> DecodedData | None:
    """Decoded data from the cache, or None where it isn't there or is damaged."""
    entry = disk_cache.find_entry("decoded", _key(fingerprint, rule))
    if entry is None:
        return None
    try:
        return _read(entry, rule)
    except (OSError, ValueError):
        disk_cache.remove_entry(entry)
        return None


def keep_decoded(built: Path, index: Index, rule: PictureRule, name: str, *, progress: bool = False) -> DecodedData:
    """Keeps in the cache what `array_file` wrote in the folder `built`, with its index, and opens it.

    An index without `copies` gets them, and a test split if it has none.

    Raises:
        DataError: if there are too few different pictures for a test split.
    """
    if not index.copies:
        store = np.load(built / _PIXELS, mmap_mode="r", allow_pickle=False)
        index = _with_copies_and_test(index, store, progress=progress)
    (built / _INDEX).write_text(to_json(index), encoding="utf-8")
    return _read(disk_cache.keep(built, "decoded", _key(index.fingerprint, rule), name), rule)


@contextmanager
def array_file(built: Path, pictures: int, rule: PictureRule) -> Iterator[BinaryIO]:
    """The array file in a folder from `cache.building`, open to write the pixels of all pictures, one after the other.

    Raises:
        DataError: if the disk has too little space for it.
    """
    shape = (pictures, rule.height, rule.width, 3)
    if shutil.disk_usage(built).free < pictures * rule.height * rule.width * 3:
        raise disk_cache.no_space(built)
    with (built / _PIXELS).open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        yield stream


def _key(fingerprint: str, rule: PictureRule) -> str:
    versions = json.dumps([asdict(rule), DECODER_VERSION, _INDEX_VERSION])
    return f"{fingerprint[:32]}-{rule.height}x{rule.width}-{hashlib.sha256(versions.encode()).hexdigest()[:8]}"


def _read(entry: Path, rule: PictureRule) -> DecodedData:
    index = from_json(Index, (entry / _INDEX).read_text(encoding="utf-8"))
    store = np.load(entry / _PIXELS, mmap_mode="r", allow_pickle=False)
    return DecodedData(np.asarray(store), index, rule, entry)


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
        copies=np.array(index.copies, np.int64),
    )
    of_split = np.array(index.splits)
    present = [split for split in SPLIT_NAMES if split in index.splits]
    return {split: everything.subset(np.flatnonzero(of_split == split)) for split in present}
