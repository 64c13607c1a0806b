"""Top-k classes of images, with their probabilities and OOD p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.inference.model_file import ModelFile
from saccade.inference.ood_detector import OodDetector

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor


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


@dataclass(frozen=True)
class TopKClassifier:
    """Top-k classes of a classifier.

    Attributes:
        class_names: class names in the order of the probabilities.
        classifier: the classifier, or the OOD detector, which also gives OOD p-values.
        top: number of most probable classes.
    """

    class_names: tuple[str, ...]
    classifier: Predictor | ModelFile | OodDetector
    top: int

    def __call__(self, images: NDArray[np.uint8]) -> list[TopK]:
        """Return the top-k classes and the OOD p-value of each image, uint8 [n, height, width, 3]."""
        p_values: list[float | None] = [None] * len(images)
        if isinstance(self.classifier, OodDetector):
            probabilities, found = self.classifier(images)
            p_values = found.tolist()
        else:
            probabilities = self.classifier.probabilities(images)
        ranked = [top_k(row, self.class_names, self.top) for row in probabilities]
        return list(zip(ranked, p_values, strict=True))


def top_k(probabilities: NDArray[np.float32], class_names: Sequence[str], k: int) -> tuple[ClassProbability, ...]:
    """Return the k most probable classes of probabilities, [classes], the most probable one first."""
    order = np.argsort(-probabilities, kind="stable")[:k]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
