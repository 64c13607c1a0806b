"""The most probable classes of an image, with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from saccade.inference.ood_detector import FamiliarityOfRun


@dataclass(frozen=True)
class ClassProbability:
    """A class and its probability.

    Attributes:
        class_name: of the class.
        probability: 0 to 1.
    """

    class_name: str
    probability: float


# The best classes of a picture, and its familiarity if that is asked for.
Response = tuple[tuple[ClassProbability, ...], float | None]


class Classifier(Protocol):
    """What answers pictures: `Predictor`, by TensorFlow, or `OnnxModel`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of pictures uint8 [n, height, width, 3]."""


@dataclass(frozen=True)
class Responder:
    """Answers pictures.

    Attributes:
        classifier: says what is in them.
        familiarity: of the run; None: it is not asked for.
        top: how many classes to give.
    """

    classifier: Classifier
    familiarity: FamiliarityOfRun | None
    top: int

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Response]:
        """A response for each picture, uint8 [n, height, width, 3]."""
        probabilities = self.classifier.probabilities(pictures)
        best = [_best(row, self.classifier.class_names, self.top) for row in probabilities]
        if self.familiarity is None:
            return [(own, None) for own in best]
        familiar = self.familiarity(pictures, probabilities).tolist()
        return list(zip(best, familiar, strict=True))


def _best(probabilities: NDArray[np.float32], class_names: Sequence[str], top: int) -> tuple[ClassProbability, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
