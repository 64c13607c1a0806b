"""Exploration of data before training: counts, sizes, unreadable files, exact duplicates, mean and spread, samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.atomic_io import atomic_write
from saccade.data.crop_loss import crop_notes
from saccade.data.dataset import Dataset, Split, SplitName, UnreadableImage, slices_of
from saccade.data.load import Data, load
from saccade.data.small_classes import small_class_notes
from saccade.image_fit import Fit
from saccade.plotting.explore_plots import SAMPLE_COLUMNS, draw_class_counts, draw_samples
from saccade.plotting.figure import save_figure
from saccade.sanitize import printable, shortened

_CHUNK = 256  # images
_MAX_LISTED_SIZES = 10
_NUM_SAMPLES = SAMPLE_COLUMNS**2
_MAX_TITLE_LENGTH = 24


@dataclass(frozen=True)
class Sizes:
    """Original sizes of images; heights and widths in pixels.

    Attributes:
        smallest: smallest height and smallest width.
        median: median height and median width.
        largest: largest height and largest width.
        different: number of different sizes.
        most_common: up to ten sizes as (height, width, number of images), the most common first.
    """

    smallest: tuple[int, int]
    median: tuple[float, float]
    largest: tuple[int, int]
    different: int
    most_common: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Exploration:
    """Result of `explore`.

    Attributes:
        name: name of the data.
        source: name or path from which the data was loaded.
        fingerprint: hash of the data's contents.
        class_names: names of the classes, in the order of their labels.
        image_size: height and width of the decoded images.
        fit: conversion of images of another aspect ratio: "crop", "pad" or "squash".
        counts: number of readable images by split and class.
        sizes: original sizes of the images.
        modes: number of images by original mode.
        formats: number of images by file format.
        unreadable: images that can't be read.
        duplicates_within: by split, the number of images that are exact duplicates of another image of the split.
        duplicates_across: number of different images that are in more than one split.
        duplicates: groups of identical files, each a tuple of "split: name".
        mean: mean of red, green and blue over the decoded training images, 0 to 255.
        standard_deviation: standard deviation of red, green and blue over the decoded training images, 0 to 255.
        notes: messages about the data that every command prints.
    """

    name: str
    source: str
    fingerprint: str
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    fit: Fit
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
        """Return all values as dictionaries, lists, strings and numbers, for JSON."""
        return asdict(self)


def explore(
    data: Data,
    *,
    image_size: int | None = None,
    fit: Fit | None = None,
    progress: bool = False,
) -> Exploration:
    """Count and measure labeled images, and list unreadable files and exact duplicates.

    Args:
        data: dataset, or the `data` argument of `saccade.load`.
        image_size: as for `saccade.load`; not used where `data` is a dataset.
        fit: as for `saccade.load`; not used where `data` is a dataset.
        progress: whether to show progress on standard error.

    Raises:
        DataError: there is no such data, or the data can't be used.
    """
    dataset = data if isinstance(data, Dataset) else load(data, image_size=image_size, fit=fit, progress=progress)
    splits = dataset.splits
    groups = _duplicates(splits)
    mean, deviation = channel_statistics(splits["train"])
    return Exploration(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        class_names=dataset.class_names,
        image_size=(dataset.preprocessing.height, dataset.preprocessing.width),
        fit=dataset.preprocessing.fit,
        counts={name: _class_counts(split, dataset.class_names) for name, split in splits.items()},
        sizes=_sizes(np.concatenate([split.sizes for split in splits.values()])),
        modes=_by_count(Counter(mode for split in splits.values() for mode in split.modes)),
        formats=_by_count(Counter(kind for split in splits.values() for kind in split.formats)),
        unreadable=dataset.unreadable,
        duplicates_within={name: len(split) - len(set(split.hashes)) for name, split in splits.items()},
        duplicates_across=sum(len({split for split, _ in group}) > 1 for group in groups),
        duplicates=tuple(tuple(f"{split}: {name}" for split, name in group) for group in groups),
        mean=mean,
        standard_deviation=deviation,
        notes=(*dataset.notes, *crop_notes(dataset), *small_class_notes(dataset)),
    )


def save_plots(dataset: Dataset, exploration: Exploration, folder: Path) -> tuple[Path, Path]:
    """Write `samples.png` and `classes.png` into an existing folder and return their paths.

    `samples.png` shows up to 25 training images with their classes, chosen by `choose_samples`; `classes.png` shows
    the number of images in each class and split.
    """
    training, name = dataset.splits["train"], shortened(dataset.name, _MAX_TITLE_LENGTH)
    chosen = choose_samples(training)
    image_classes = [dataset.class_names[label] for label in training.labels[chosen]]
    counts: dict[str, list[int]] = {split: list(classes.values()) for split, classes in exploration.counts.items()}
    figures = {
        folder / "samples.png": draw_samples(training.take(chosen), image_classes, f"Training images of {name}"),
        folder / "classes.png": draw_class_counts(counts, dataset.class_names, f"Images by class in {name}"),
    }
    for path, figure in figures.items():
        with atomic_write(path) as partial:
            save_figure(figure, partial)
    samples, classes = figures
    return samples, classes


def choose_samples(split: Split) -> NDArray[np.int64]:
    """Return the positions of up to 25 random images, one of each class in turn, with a fixed seed; int64."""
    rng = np.random.Generator(np.random.Philox(0))
    order = rng.permutation(len(split))
    rank_in_class = np.empty(len(split), np.int64)
    for label in np.unique(split.labels):
        members = order[split.labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    # The first image of every class, the classes in a random order; then the second image of every class; and so on.
    class_order = rng.permutation(int(split.labels.max()) + 1)
    chosen = np.lexsort((class_order[split.labels], rank_in_class))[:_NUM_SAMPLES]
    return chosen[np.argsort(split.labels[chosen], kind="stable")]


def channel_statistics(split: Split) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of red, green and blue over all pixels of a split, 0 to 255.

    Both are computed from exact histograms of the 256 values, `_CHUNK` images at a time.
    """
    counts = np.zeros((3, 256), np.int64)
    for images in split.batches(slices_of(len(split), _CHUNK)):
        pixels = images.reshape(-1, 3)
        for channel in range(3):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256)
    mean = frequencies @ values
    deviation = np.sqrt((frequencies * (values - mean[:, None]) ** 2).sum(axis=1))
    return _triple(mean), _triple(deviation)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _class_counts(split: Split, class_names: tuple[str, ...]) -> dict[str, int]:
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
        most_common=tuple(
            (height, width, count) for (height, width), count in different.most_common(_MAX_LISTED_SIZES)
        ),
    )


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def _duplicates(splits: Mapping[SplitName, Split]) -> list[list[tuple[SplitName, str]]]:
    places: dict[str, list[tuple[SplitName, str]]] = defaultdict(list)
    for split_name, split in splits.items():
        for content, name in zip(split.hashes, split.names, strict=True):
            places[content].append((split_name, name))
    return [group for group in places.values() if len(group) > 1]
