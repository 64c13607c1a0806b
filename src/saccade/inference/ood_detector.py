"""How much like a run's training images others are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.predictor import Predictor
from saccade.models.ood import EarlyStatistics, OodScore
from saccade.runs.run import Run


class OodDetector:
    """How much like a run's training images others are.

    Args:
        run: trained to its end with validation images.
        predictor: of the run.

    Raises:
        RunError: it was not, or what it knows is damaged.
    """

    def __init__(self, run: Run, predictor: Predictor) -> None:
        known = run.ood_statistics()
        if known is None:
            raise RunError(
                f"the run '{run.path}' does not know what is familiar",
                expected="a run trained to its end with validation images",
                found=f"validation_split = {run.recipe.validation_split:g} in its recipe, {run.status().state}",
                remedy="train with validation images: --set validation_split=0.1",
            )
        self._statistics = EarlyStatistics(predictor.model)
        self._ood_score = OodScore.from_arrays(known, self._statistics.size)

    def __call__(self, images: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of images, uint8 [n, height, width, 3], with the answers to them, float32 [n, classes]: float64 [n]."""
        statistics = self._statistics(images.__getitem__, len(images))
        return self._ood_score.scores(statistics, probabilities.max(axis=1))
