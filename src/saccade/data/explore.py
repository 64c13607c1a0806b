"""What there is to know about data before training: counts, sizes, what is unreadable or doubled, mean and spread."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Dataset, Split, SplitName, UnreadableImage
from saccade.data.load import load
from saccade.sanitize import printable, shortened

_CHUNK = 4096  # images
_MOST_SIZES = 10


@dataclass(frozen=True)
class Sizes:
    """The original sizes of images; heights and widths in pixels.

    Attributes:
        smallest: the smallest height and the smallest width.
        median: the median height and the median width.
        largest: the largest height and the largest width.
        different: how many different sizes there are.
        most_common: up to ten sizes as (height, width, images), the commonest first.
    """

    smallest: tuple[int, int]
    median: tuple[float, float]
    largest: tuple[int, int]
    different: int
    most_common: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Exploration:
    """What `explore` found.

    Attributes:
        name: of the data.
        source: what finds the data again.
        fingerprint: of the data's contents.
        class_names: in the order of their labels.
        image_size: height and width to which the images are brought.
        counts: readable images by split and class.
        sizes: the images' original sizes.
        modes: images by their original mode.
        formats: images by their format.
        unreadable: the images that can't be read.
        duplicates_within: by split, how many images are copies of another one in the same split.
        duplicates_across: how many different images stand in more than one split.
        duplicates: the groups of identical files, each a tuple of "split: name".
        mean: of the training split's red, green and blue, 0 to 255, once brought to `image_size`.
        standard_deviation: of the same.
        notes: what the user must be told about the data.
    """

    name: str
    source: str
    fingerprint: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    counts: Mapping[SplitName, Mapping[str, int]]
    sizes: Sizes
    modes: Mapping[str, int]
    formats: Mapping[str, int]
    unreadable: tuple[UnreadableImage, ...]
    duplicates_within: Mapping[SplitName, int]
    duplicates_across: int
    duplicates: tuple[tuple[str, ...], ...]
    mean: tuple[float, float, float]
    standard_deviation: tuple[float, float, float]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        images = ", ".join(f"{sum(counts.values()):,} {split}" for split, counts in self.counts.items())
        faults = f"{len(self.unreadable):,} unreadable, {len(self.duplicates):,} groups of duplicates"
        name = shortened(printable(self.name), 60)
        return f"<Exploration of {name}: {len(self.class_names):,} classes, {images} images, {faults}>"

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON knows: dictionaries, lists, strings and numbers."""
        return asdict(self)


def explore(
    data: str | os.PathLike[str] | Dataset, *, image_size: int | None = None, progress: bool = False
) -> Exploration:
    """Counts and measures labeled images, and finds what is unreadable or doubled.

    Args:
        data: a dataset, or what `saccade.load` takes.
        image_size: as for `saccade.load`; not used where `data` is a dataset.
        progress: whether to show progress on standard error.

    Raises:
        DataError: if there is no such data, or if it can't be used.
    """
    dataset = data if isinstance(data, Dataset) else load(data, image_size=image_size, progress=progress)
    splits = dataset.splits
    groups = _duplicates(splits)
    mean, deviation = channel_statistics(splits["train"])
    return Exploration(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        image_size=(dataset.preprocessing.height, dataset.preprocessing.width),
        counts={name: _counts(split, dataset.class_names) for name, split in splits.items()},
        sizes=_sizes(np.concatenate([split.sizes for split in splits.values()])),
        modes=_ordered(Counter(mode for split in splits.values() for mode in split.modes)),
        formats=_ordered(Counter(kind for split in splits.values() for kind in split.formats)),
        unreadable=dataset.unreadable,
        duplicates_within={name: len(split) - len(set(split.hashes)) for name, split in splits.items()},
        duplicates_across=sum(len({split for split, _ in group}) > 1 for group in groups),
        duplicates=tuple(tuple(f"{split}: {name}" for split, name in group) for group in groups),
        mean=mean,
        standard_deviation=deviation,
        notes=dataset.notes,
    )


def channel_statistics(split: Split) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of red, green and blue over all pixels of a split, in units of 0 to 255.

    They are computed from exact counts of the 256 values, a few thousand images at a time.
    """
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(split), _CHUNK):
        pixels = split.take(slice(start, start + _CHUNK)).reshape(-1, 3)
        for channel in range(3):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    parts = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256)
    mean = parts @ values
    deviation = np.sqrt((parts * (values - mean[:, None]) ** 2).sum(axis=1))
    return _triple(mean), _triple(deviation)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _counts(split: Split, class_names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(class_names))
    return dict(zip(class_names, counts.tolist(), strict=True))


def _sizes(sizes: NDArray[np.int32]) -> Sizes:
    smallest, median, largest = sizes.min(axis=0), np.median(sizes, axis=0), sizes.max(axis=0)
    different = Counter(map(tuple, sizes.tolist()))
    return Sizes(
        smallest=(int(smallest[0]), int(smallest[1])),
        median=(float(median[0]), float(median[1])),
        largest=(int(largest[0]), int(largest[1])),
        different=len(different),
        most_common=tuple((height, width, count) for (height, width), count in different.most_common(_MOST_SIZES)),
    )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def _duplicates(splits: Mapping[SplitName, Split]) -> list[list[tuple[SplitName, str]]]:
    places: dict[str, list[tuple[SplitName, str]]] = defaultdict(list)
    for split_name, split in splits.items():
        for content, name in zip(split.hashes, split.names, strict=True):
            places[content].append((split_name, name))
    return [group for group in places.values() if len(group) > 1]
