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
from saccade.data.dataset import Dataset, PictureRule, SplitName
from saccade.data.decoding.decode import fit_pixels
from saccade.data.decoding.image_files import content_hash
from saccade.data.image_size import default_rule
from saccade.data.progress import counting
from saccade.data.sources.scan_cache import Scan, recall, remember


@dataclass(frozen=True)
class LabelledArray:
    """Labelled pictures as an array.

    Attributes:
        pictures: uint8 array of shape [n, height, width, 3].
        labels: n labels.
        splits: n splits.
        names: n names.
        class_names: in the order of their labels.
        mode: of the original pictures.
    """

    pictures: NDArray[np.uint8]
    labels: Sequence[int]
    splits: Sequence[SplitName]
    names: Sequence[str]
    class_names: Sequence[str]
    mode: str


def load_array(
    name: str,
    size: tuple[int, int],
    read: Callable[[], LabelledArray],
    rule: PictureRule | None,
    *,
    progress: bool = False,
) -> Dataset:
    """A named dataset, from the cache or else from `read`.

    Args:
        name: of the data, which never changes its contents.
        size: the pictures' own height and width.
        read: gets the data where the cache does not hold it.
        rule: the size to bring it to; chosen by the pictures' own size where it is None.
        progress: whether to show progress on standard error.
    """
    own_rule = PictureRule(*size)
    rule = rule or default_rule(np.array([size], np.int32))
    scan = recall(f"name:{name}", name)
    decoded = open_decoded(scan.fingerprint, rule) if scan else None
    if decoded is None:
        own = open_decoded(scan.fingerprint, own_rule) if scan else None
        own = own or _keep(name, read(), own_rule, progress=progress)
        decoded = own if rule == own_rule else _at_size(own, rule, name, progress=progress)
    return decoded.dataset(name=name, source=name)


def is_kept(name: str, size: tuple[int, int]) -> bool:
    """Whether the cache holds a named dataset at its own size."""
    scan = recall(f"name:{name}", name)
    return scan is not None and open_decoded(scan.fingerprint, PictureRule(*size)) is not None


def _keep(name: str, array: LabelledArray, rule: PictureRule, *, progress: bool) -> DecodedData:
    hashes = [content_hash(picture.tobytes()) for picture in array.pictures]
    pictures = list(zip(array.names, array.splits, array.labels, hashes, strict=True))
    count = len(pictures)
    index = Index(
        class_names=array.class_names,
        fingerprint=fingerprint_of(array.class_names, pictures),
        rows=list(range(count)),
        splits=array.splits,
        labels=array.labels,
        names=array.names,
        hashes=hashes,
        sizes=[(rule.height, rule.width)] * count,
        modes=[array.mode] * count,
        formats=["array"] * count,
    )
    with disk_cache.building() as built:
        with array_file(built, count, rule) as stream:
            stream.write(np.ascontiguousarray(array.pictures).data)
        decoded = keep_decoded(built, index, rule, name, progress=progress)
    with disk_cache.in_use(decoded.entry):
        remember(f"name:{name}", name, Scan(index.fingerprint, (rule.height, rule.width)), {}, name)
    return decoded


def _at_size(own: DecodedData, rule: PictureRule, name: str, *, progress: bool) -> DecodedData:
    with disk_cache.building() as built:
        with (
            array_file(built, len(own.store), rule) as stream,
            counting("resizing", total=len(own.store), unit="pictures", shown=progress) as bar,
        ):
            for picture in own.store:
                stream.write(fit_pixels(picture, rule).tobytes())
                bar.update(1)
        return keep_decoded(built, own.index, rule, name)
