"""Images of all splits of a dataset in one sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.findings import FindingImage
from saccade.data.dataset import SPLIT_NAMES, Dataset, Preprocessing, Split, SplitName, slices_of

CHUNK = 256  # images whose pixels are in memory at once


@dataclass(frozen=True)
class AuditedImages:
    """Images of all splits of a dataset.

    Attributes:
        all: concatenated splits, in the order train, validation, test.
        splits: name of each image's split.
        class_names: names of the classes, in the order of the labels.
        preprocessing: preprocessing of the images.
    """

    all: Split
    splits: tuple[SplitName, ...]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing

    @classmethod
    def of(cls, dataset: Dataset) -> AuditedImages:
        """Concatenate the splits of a dataset."""
        names = [name for name in SPLIT_NAMES if name in dataset.splits]
        splits = tuple(name for name in names for _ in range(len(dataset.splits[name])))
        return cls(
            Split.joined([dataset.splits[name] for name in names]), splits, dataset.class_names, dataset.preprocessing
        )

    def __len__(self) -> int:
        return len(self.all)

    def image(self, position: int, **details: Any) -> FindingImage:
        """Return the image at a position for a finding, with the details of the finding."""
        return FindingImage(
            path=self.all.names[position],
            split=self.splits[position],
            class_name=self.class_names[self.all.labels[position]],
            position=int(position),
            **details,
        )

    def singletons(
        self, positions: Iterable[int], scores: NDArray[np.floating[Any]] | None = None
    ) -> list[list[FindingImage]]:
        """Return one group per image, with the score of the image; `scores` are scores of all images, float [n]."""
        return [
            [self.image(position, score=None if scores is None else round(float(scores[position]), 4))]
            for position in positions
        ]

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Yield chunks of images: positions, and pixels, uint8 [chunk, height, width, 3]."""
        slices = slices_of(len(self), CHUNK)
        yield from zip(slices, self.all.batches(slices), strict=True)
