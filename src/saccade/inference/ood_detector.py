"""Out-of-distribution (OOD) p-value of images for a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, slices_of
from saccade.errors import RunError
from saccade.inference.onnx_model import OnnxModel
from saccade.runs.ood_p_value import OodPValue
from saccade.runs.run import Run

if TYPE_CHECKING:
    from saccade.inference.predictor import Predictor

# The class probabilities, [n, classes], and the statistics for the OOD p-value, [n, d], of images.
ProbabilitiesAndStatistics = tuple[NDArray[np.float32], NDArray[np.float32]]

_CHUNK = 250  # images whose pixels are in memory at once


@dataclass(frozen=True)
class OodDetector:
    """Class probabilities and out-of-distribution p-values of images for a run.

    Attributes:
        predict: function from images, uint8 [n, height, width, 3], to probabilities and statistics.
        statistics: function from images to statistics.
        p_value: OOD p-value of the run.
    """

    predict: Callable[[NDArray[np.uint8]], ProbabilitiesAndStatistics]
    statistics: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    p_value: OodPValue

    @classmethod
    def of_predictor(cls, run: Run, predictor: Predictor) -> OodDetector:
        """Return the detector that computes with TensorFlow.

        Raises:
            RunError: the run has no OOD statistics, or they are damaged.
        """
        from saccade.models.ood_statistics import OodStatistics

        statistics = OodStatistics(predictor.model, run.recipe.network)

        def predict(images: NDArray[np.uint8]) -> ProbabilitiesAndStatistics:
            return predictor.probabilities(images), statistics(images)

        return cls(predict, statistics, _read_p_value(run, statistics.size))

    @classmethod
    def of_onnx(cls, run: Run, model: OnnxModel) -> OodDetector | None:
        """Return the detector that computes with ONNX Runtime; None where `model.onnx` has no features.

        Raises:
            RunError: the run has no OOD statistics, or they are damaged.
        """
        if not model.num_features:
            return None
        predict = model.probabilities_and_features
        return cls(predict, lambda images: predict(images)[1], _read_p_value(run, model.num_features))

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return class probabilities, float32 [n, classes], and OOD p-values, float64 [n].

        Args:
            images: preprocessed images, uint8 [n, height, width, 3].
        """
        probabilities, statistics = self.predict(images)
        return probabilities, self.p_value.p_values(statistics, probabilities.max(axis=1, initial=0))

    def p_values_of(self, images: Split, confidences: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the OOD p-values, float64 [n], of a split whose confidences are known, float32 [n]."""
        found = [np.empty(0)]
        chunks = slices_of(len(images), _CHUNK)
        for chunk, pixels in zip(chunks, images.batches(chunks), strict=True):
            found.append(self.p_value.p_values(self.statistics(pixels), confidences[chunk]))
        return np.concatenate(found)


def _read_p_value(run: Run, size: int) -> OodPValue:
    """Return the OOD p-value of a run, for statistics of this size.

    Raises:
        RunError: the run has no OOD statistics, or they are damaged.
    """
    arrays = run.ood_statistics()
    if arrays is None:
        raise RunError(
            f"the run '{run.path}' has no out-of-distribution statistics",
            expected="a run trained to its end with validation images",
            found=f"validation_split = {run.recipe.validation_split:g} in its recipe, {run.status().state}",
            remedy="train with validation images: --set validation_split=0.1",
        )
    return OodPValue.from_arrays(arrays, size)
