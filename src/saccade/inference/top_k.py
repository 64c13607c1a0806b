"""The most probable classes of an image, with their probabilities."""

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
        class_name: of the class.
        probability: 0 to 1.
    """

    class_name: str
    probability: float


# The best classes of an image, and its OOD score if that is asked for.
Response = tuple[tuple[ClassProbability, ...], float | None]


class Classifier(Protocol):
    """What answers images: `Predictor`, by TensorFlow, or `OnnxModel`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of images uint8 [n, height, width, 3]."""


@dataclass(frozen=True)
class Responder:
    """Answers images.

    Attributes:
        classifier: says what is in them.
        ood_detector: of the run; None: it is not asked for.
        top: how many classes to give.
    """

    classifier: Classifier
    ood_detector: OodDetector | None
    top: int

    def __call__(self, images: NDArray[np.uint8]) -> list[Response]:
        """A response for each image, uint8 [n, height, width, 3]."""
        probabilities = self.classifier.probabilities(images)
        best = [_best(row, self.classifier.class_names, self.top) for row in probabilities]
        if self.ood_detector is None:
            return [(own, None) for own in best]
        scores = self.ood_detector(images, probabilities).tolist()
        return list(zip(best, scores, strict=True))


def _best(probabilities: NDArray[np.float32], class_names: Sequence[str], top: int) -> tuple[ClassProbability, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
