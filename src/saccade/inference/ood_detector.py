"""Out-of-distribution (OOD) p-value of images for a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saccade.errors import RunError
from saccade.inference.predictor import Predictor
from saccade.models.ood import OodPValue, OodStatistics
from saccade.runs.run import Run


class OodDetector:
    """Out-of-distribution (OOD) p-value of images for a run.

    Args:
        run: run that was trained to its end with validation images.
        predictor: predictor of the run.

    Raises:
        RunError: the run has no OOD statistics, or they are damaged.
    """

    def __init__(self, run: Run, predictor: Predictor) -> None:
        arrays = run.ood_statistics()
        if arrays is None:
            raise RunError(
                f"the run '{run.path}' has no out-of-distribution statistics",
                expected="a run trained to its end with validation images",
                found=f"validation_split = {run.recipe.validation_split:g} in its recipe, {run.status().state}",
                remedy="train with validation images: --set validation_split=0.1",
            )
        self._statistics = OodStatistics(predictor.model, run.recipe.network)
        self._p_value = OodPValue.from_arrays(arrays, self._statistics.size)

    def __call__(self, images: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the OOD p-values, float64 [n].

        Args:
            images: images, uint8 [n, height, width, 3].
            probabilities: class probabilities of the images, float32 [n, classes].
        """
        statistics = self._statistics(images.__getitem__, len(images))
        return self._p_value.p_values(statistics, probabilities.max(axis=1))
