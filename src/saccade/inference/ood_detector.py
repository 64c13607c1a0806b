"""How much like a run's training pictures others are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.predictor import Predictor
from saccade.models.ood import EarlyStatistics, Familiarity
from saccade.runs.run import Run


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
