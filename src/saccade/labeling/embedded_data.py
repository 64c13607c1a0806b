"""Images of labeled or unlabeled data with the network that gives their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saccade.data.dataset import Dataset, Split
from saccade.data.load import Data, load_with_or_without_labels
from saccade.data.reading_options import ReadingOptions
from saccade.data.sources.unlabeled_images import UNLABELED
from saccade.data.splits import TEST_NOTE
from saccade.keras_loading import require_keras_settings
from saccade.progress import counting
from saccade.runs.run import Run
from saccade.sanitize import counted, printable
from saccade.training.pretrained_features import FeatureSource
from saccade.training.transfer_learning.features import FeatureExtractor, Features

_NAMED = 5  # unreadable images


@dataclass(frozen=True, eq=False)
class EmbeddedData:
    """Images of data, and the network that gives their features.

    Attributes:
        dataset: the data.
        images: all readable images, sorted by name.
        labels: name of the class of each image; "" without labels.
        splits: split of each image by the data itself; "" where the data has none.
        network: name of the network, or of the run.
        extract: feature extractor.
    """

    dataset: Dataset
    images: Split
    labels: Sequence[str]
    splits: Sequence[str]
    network: str
    extract: FeatureExtractor

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages on how the data was read, without that on a test split made by Saccade, which is not used."""
        return tuple(note for note in self.dataset.notes if note != TEST_NOTE)

    def notes_on_unreadable(self) -> tuple[str, ...]:
        """Return a message on images that can't be read, and which get no label; none without such images."""
        unreadable = self.dataset.unreadable
        if not unreadable:
            return ()
        first = ", ".join(f"{printable(image.path)} ({image.reason})" for image in unreadable[:_NAMED])
        more = f" and {len(unreadable) - _NAMED:,} more" if len(unreadable) > _NAMED else ""
        return (f"{counted(len(unreadable), 'image')} can't be read and get no label: {first}{more}",)

    def features(self, *, progress: bool = False) -> Features:
        """Return the features of all images, float32 [n, d]."""
        with counting("features", total=len(self.images), unit="images", shown=progress) as bar:
            return self.extract(self.images, False, bar.update)


def prepare(
    data: Data,
    *,
    network: Run | str | Path | None = None,
    reading: ReadingOptions | None = None,
    progress: bool = False,
) -> EmbeddedData:
    """Load data for a network, without computing its features; arguments and errors as for `embed`."""
    require_keras_settings()
    source = FeatureSource.of(network)
    dataset = load_with_or_without_labels(data, source.wanted, reading=reading, progress=progress)
    enlarged = source.enlarged(dataset.preprocessing)
    if enlarged != dataset.preprocessing:
        dataset = load_with_or_without_labels(data, enlarged, reading=reading, progress=progress)
    images, splits = all_images(dataset)
    labels = [dataset.class_names[label] for label in images.labels.tolist()]
    if dataset.class_names == UNLABELED.names:
        labels = [""] * len(images)
    extract = source.extractor(dataset.preprocessing, dataset.name)
    return EmbeddedData(dataset, images, labels, splits, source.model.name, extract)


def all_images(dataset: Dataset) -> tuple[Split, list[str]]:
    """Return all images of a dataset, sorted by name, and the split of each image by the data itself."""
    is_own = not dataset.test_is_made and dataset.class_names != UNLABELED.names
    joined = Split.joined(list(dataset.splits.values()))
    splits = [name if is_own else "" for name, split in dataset.splits.items() for _ in range(len(split))]
    order = sorted(range(len(joined)), key=lambda position: (joined.names[position], position))
    return joined.subset(np.array(order, np.int64)), [splits[position] for position in order]
