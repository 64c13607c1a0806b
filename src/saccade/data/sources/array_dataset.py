"""Data that comes as an array rather than as files: kept in the cache at its own size, and at others from there."""

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
from saccade.data.dataset import Dataset, Preprocessing, SplitName
from saccade.data.decoding.decode import fit_pixels
from saccade.data.decoding.image_files import content_hash
from saccade.data.image_size import default_preprocessing
from saccade.data.sources.scan_cache import Scan, recall, remember
from saccade.progress import counting


@dataclass(frozen=True)
class LabeledArray:
    """Labeled images as an array.

    Attributes:
        images: uint8 array of shape [n, height, width, 3].
        labels: n labels.
        splits: n splits.
        names: n names.
        class_names: in the order of their labels.
        mode: of the original images.
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
    preprocessing: Preprocessing | None,
    *,
    progress: bool = False,
) -> Dataset:
    """A named dataset, from the cache or else from `read`.

    Args:
        name: of the data, which never changes its contents.
        size: the images' own height and width.
        read: gets the data where the cache does not hold it.
        preprocessing: the size to bring it to; chosen by the images' own size where it is None.
        progress: whether to show progress on standard error.
    """
    own_preprocessing = Preprocessing(*size)
    preprocessing = preprocessing or default_preprocessing(np.array([size], np.int32))
    scan = recall(f"name:{name}", name)
    decoded = open_decoded(scan.fingerprint, preprocessing) if scan else None
    if decoded is None:
        own = open_decoded(scan.fingerprint, own_preprocessing) if scan else None
        own = own or _keep(name, read(), own_preprocessing, progress=progress)
        decoded = own if preprocessing == own_preprocessing else _at_size(own, preprocessing, name, progress=progress)
    return decoded.dataset(name=name, source=name)


def is_kept(name: str, size: tuple[int, int]) -> bool:
    """Whether the cache holds a named dataset at its own size."""
    scan = recall(f"name:{name}", name)
    return scan is not None and open_decoded(scan.fingerprint, Preprocessing(*size)) is not None


def _keep(name: str, array: LabeledArray, preprocessing: Preprocessing, *, progress: bool) -> DecodedData:
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
    with disk_cache.in_use(decoded.entry):
        remember(f"name:{name}", name, Scan(index.fingerprint, (preprocessing.height, preprocessing.width)), {}, name)
    return decoded


def _at_size(own: DecodedData, preprocessing: Preprocessing, name: str, *, progress: bool) -> DecodedData:
    with disk_cache.building() as built:
        with (
            array_file(built, len(own.store), preprocessing) as stream,
            counting("resizing", total=len(own.store), unit="images", shown=progress) as bar,
        ):
            for image in own.store:
                stream.write(fit_pixels(image, preprocessing).tobytes())
                bar.update(1)
        return keep_decoded(built, own.index, preprocessing, name)
