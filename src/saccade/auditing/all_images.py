"""All images of a dataset in one sequence, split after split, as an audit looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.auditing.findings import FindingImage
from saccade.data.dataset import SPLIT_NAMES, Dataset, Split, SplitName

CHUNK = 2048  # images


@dataclass(frozen=True)
class AuditedImages:
    """All images of a dataset.

    Attributes:
        all: all splits as one, in the order train, validation, test.
        splits: n names: the split in which each image stands.
        class_names: in the order of the labels.
    """

    all: Split
    splits: tuple[SplitName, ...]
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> AuditedImages:
        """The images of a dataset's splits, one after the other."""
        names = [name for name in SPLIT_NAMES if name in dataset.splits]
        splits = tuple(name for name in names for _ in range(len(dataset.splits[name])))
        return cls(Split.joined([dataset.splits[name] for name in names]), splits, dataset.class_names)

    def __len__(self) -> int:
        return len(self.all)

    def image(self, position: int, **details: Any) -> FindingImage:
        """What a finding says of the image at a position, with its own facts."""
        return FindingImage(
            path=self.all.names[position],
            split=self.splits[position],
            class_name=self.class_names[self.all.labels[position]],
            position=int(position),
            **details,
        )

    def alone(
        self, positions: Iterable[int], scores: NDArray[np.floating[Any]] | None = None
    ) -> list[list[FindingImage]]:
        """Each of these images as a group of its own; `scores`, of shape [n], holds what was measured of all."""
        return [
            [self.image(position, score=None if scores is None else round(float(scores[position]), 4))]
            for position in positions
        ]

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """Bounded runs of images: their positions, and uint8 [chunk, height, width, 3]."""
        for start in range(0, len(self), CHUNK):
            positions = slice(start, min(start + CHUNK, len(self)))
            yield positions, self.all.take(positions)
