"""Datasets from arrays: cached at the original size, and at other sizes by resizing from the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.data.cache import disk_cache
from saccade.data.cache.decoded_cache import (
    DecodedData,
    Index,
    array_file,
    fingerprint_of,
    keep_decoded,
    open_decoded,
)
from saccade.data.dataset import FULL_BITS, Dataset, Preprocessing, SplitName, read_batches
from saccade.data.decoding.decode import fit_pixels
from saccade.data.decoding.image_files import content_hash
from saccade.data.image_size import PreprocessingOptions, preprocessing_for
from saccade.data.sources.scan_cache import Scan, find_scan, keep_scan
from saccade.progress import counting


@dataclass(frozen=True)
class LabeledArray:
    """Labeled images as an array.

    Attributes:
        images: array of shape [n, height, width, 3], uint8.
        labels: n labels.
        splits: n splits.
        names: n names.
        class_names: names of the classes, in the order of their labels.
        mode: mode of the original images.
    """

    images: NDArray[np.uint8]
    labels: Sequence[int]
    splits: Sequence[SplitName]
    names: Sequence[str]
    class_names: Sequence[str]
    mode: str


def load_array(
    name: str,
    size: tuple[int, int],
    read: Callable[[], LabeledArray],
    wanted: Preprocessing | PreprocessingOptions,
    *,
    source: str | None = None,
    signature: str | None = None,
    progress: bool = False,
) -> Dataset:
    """Load a dataset from the cache, or by `read` where the cache does not hold the data.

    Args:
        name: name of the data. The contents of a name never change, unless `source` and `signature` are given.
        size: original height and width of the images.
        read: function that reads the data.
        wanted: preprocessing of the images, or its options.
        source: path of the data; None for data of a name.
        signature: hash that changes with the data at the path.
        progress: whether to show progress on standard error.
    """
    preprocessing = preprocessing_for(wanted, np.array([size], np.int32))
    original_preprocessing = Preprocessing(*size)
    key = (f"name:{name}" if source is None else f"arrays:{source}", signature or name)
    scan = find_scan(*key)
    decoded = open_decoded(scan.fingerprint, preprocessing) if scan else None
    if decoded is None:
        original = open_decoded(scan.fingerprint, original_preprocessing) if scan else None
        original = original or _keep(key, name, read(), original_preprocessing, progress=progress)
        is_original = preprocessing == original_preprocessing
        decoded = original if is_original else _resize(original, preprocessing, name, progress=progress)
    return decoded.dataset(name=name, source=source or name)


def is_cached(name: str, size: tuple[int, int]) -> bool:
    """Return whether the cache holds a named dataset at its original size."""
    scan = find_scan(f"name:{name}", name)
    return scan is not None and open_decoded(scan.fingerprint, Preprocessing(*size)) is not None


def _keep(
    key: tuple[str, str], name: str, array: LabeledArray, preprocessing: Preprocessing, *, progress: bool
) -> DecodedData:
    hashes = [content_hash(image.tobytes()) for image in array.images]
    images = list(zip(array.names, array.splits, array.labels, hashes, strict=True))
    count = len(images)
    index = Index(
        class_names=array.class_names,
        fingerprint=fingerprint_of(array.class_names, images),
        rows=list(range(count)),
        splits=array.splits,
        labels=array.labels,
        names=array.names,
        hashes=hashes,
        sizes=[(preprocessing.height, preprocessing.width)] * count,
        modes=[array.mode] * count,
        formats=["array"] * count,
    )
    with disk_cache.building() as built:
        with array_file(built, count, preprocessing) as stream:
            stream.write(np.ascontiguousarray(array.images).data)
        decoded = keep_decoded(built, index, preprocessing, name, progress=progress)
    keep_scan(*key, Scan(index.fingerprint, (preprocessing.height, preprocessing.width), FULL_BITS), {}, name)
    return decoded


def _resize(original: DecodedData, preprocessing: Preprocessing, name: str, *, progress: bool) -> DecodedData:
    count = original.store.shape[0]
    with disk_cache.building() as built:
        with (
            array_file(built, count, preprocessing) as stream,
            counting("resizing", total=count, unit="images", shown=progress) as bar,
        ):
            for (image,) in read_batches(original.store, (np.array([row]) for row in range(count))):
                stream.write(fit_pixels(image, preprocessing).tobytes())
                bar.update(1)
        return keep_decoded(built, original.index, preprocessing, name)
