"""Top-k classes of images, with their probabilities and OOD p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from saccade.inference.ood_detector import OodDetector


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability.

    Attributes:
        class_name: name of the class.
        probability: probability of the class, 0 to 1.
    """

    class_name: str
    probability: float


# The top-k classes of an image, and its OOD p-value or None.
TopK = tuple[tuple[ClassProbability, ...], float | None]


class Classifier(Protocol):
    """A classifier: `Predictor` or `ModelFile`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of preprocessed images, uint8 [n, height, width, 3]."""


@dataclass(frozen=True)
class TopKClassifier:
    """Top-k classes of a classifier.

    Attributes:
        classifier: the classifier.
        ood_detector: OOD detector of the run; None: no OOD p-values.
        top: number of most probable classes.
    """

    classifier: Classifier
    ood_detector: OodDetector | None
    top: int

    def __call__(self, images: NDArray[np.uint8]) -> list[TopK]:
        """Return the top-k classes and the OOD p-value of each image, uint8 [n, height, width, 3]."""
        probabilities = self.classifier.probabilities(images)
        top_k = [_top_k(row, self.classifier.class_names, self.top) for row in probabilities]
        if self.ood_detector is None:
            return [(classes, None) for classes in top_k]
        scores = self.ood_detector(images, probabilities).tolist()
        return list(zip(top_k, scores, strict=True))


def _top_k(probabilities: NDArray[np.float32], class_names: Sequence[str], k: int) -> tuple[ClassProbability, ...]:
    order = np.argsort(-probabilities, kind="stable")[:k]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
