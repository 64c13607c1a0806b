"""What is said of pictures: their most probable classes, and how familiar they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.class_probability import ClassProbability
from saccade.inference.predictor import Predictor
from saccade.models.familiarity import EarlyStatistics, Familiarity
from saccade.runs.run import Run

# The best classes of a picture, and its familiarity if that is asked for.
Response = tuple[tuple[ClassProbability, ...], float | None]


@dataclass(frozen=True)
class Responder:
    """Answers pictures.

    Attributes:
        predictor: of the run.
        familiarity: of the run; None: it is not asked for.
        top: how many classes to give.
    """

    predictor: Predictor
    familiarity: FamiliarityOfRun | None
    top: int

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Response]:
        """A response for each picture, uint8 [n, height, width, 3]."""
        probabilities = self.predictor.probabilities(pictures)
        best = [_best(row, self.predictor.class_names, self.top) for row in probabilities]
        if self.familiarity is None:
            return [(own, None) for own in best]
        familiar = self.familiarity(pictures, probabilities).tolist()
        return list(zip(best, familiar, strict=True))


class FamiliarityOfRun:
    """How much like a run's training pictures others are.

    Args:
        run: trained to its end with validation pictures.
        predictor: of the run.

    Raises:
        RunError: it was not, or what it knows is damaged.
    """

    def __init__(self, run: Run, predictor: Predictor) -> None:
        known = run.familiarity()
        if known is None:
            raise RunError(
                f"the run '{run.path}' does not know what is familiar",
                expected="a run trained to its end with validation pictures",
                found=f"validation = {run.recipe.validation:g} in its recipe, {run.status().state}",
                remedy="train with validation pictures: --set validation=0.1",
            )
        self._statistics = EarlyStatistics(predictor.model)
        self._familiarity = Familiarity.from_arrays(known, self._statistics.size)

    def __call__(self, pictures: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of pictures, uint8 [n, height, width, 3], with the answers to them, float32 [n, classes]: float64 [n]."""
        statistics = self._statistics(pictures.__getitem__, len(pictures))
        return self._familiarity.of(statistics, probabilities.max(axis=1))


def _best(probabilities: NDArray[np.float32], class_names: Sequence[str], top: int) -> tuple[ClassProbability, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(ClassProbability(class_names[i], float(probabilities[i])) for i in order)
