"""Predictor: class probabilities by the network of a run, with TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split
from saccade.errors import RunError
from saccade.keras_loading import require_keras_settings
from saccade.models.batched_inference import forward
from saccade.models.batchnorm_folding.fold import fold_normalization
from saccade.models.build import build_probability_model, dense_weights
from saccade.models.temperature_scaling import divide_logits
from saccade.models.weights import assign
from saccade.progress import counting
from saccade.runs.run import Run

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Predictor:
    """Network of a run with temperature scaling.

    Attributes:
        model: model of stock Keras layers, from pixels 0 to 255, [n, height, width, 3], to probabilities [n, classes].
        folded: the same model with folded batch normalization, which computes the predictions.
        class_names: class names in the order of the probabilities.
    """

    model: keras.Model
    folded: keras.Model
    class_names: tuple[str, ...]

    @classmethod
    def from_run(cls, run: Run, *, tta_views: int | None = None) -> Predictor:
        """Build the network of the run's recipe, and load the run's weights.

        Args:
            run: the run.
            tta_views: number of views of test-time augmentation; None: the number of the recipe.

        Raises:
            RunError: the run has no weights, or they don't fit its recipe.
            KerasError: Saccade does not support the configuration of Keras.
        """
        require_keras_settings()
        weights = run.weights()
        height, width = run.preprocessing.height, run.preprocessing.width
        # An untrusted recipe may describe a network too large for this machine; it is built only if its weights exist.
        if dense_weights(run.recipe, height=height, width=width) > sum(weight.size for weight in weights.values()):
            raise RunError(f"the weights of '{run.path}' don't belong to its recipe: they are too few")
        model = build_probability_model(
            run.recipe, height=height, width=width, classes=len(run.class_names), tta_views=tta_views
        )
        assign(model, weights)
        divide_logits(model, run.temperature)
        return cls(model, fold_normalization(model), run.class_names)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of preprocessed images, uint8 [n, height, width, 3]."""
        return forward(self.folded, images)

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of the images of a split, read in chunks."""
        with counting("scoring", total=len(split), unit="images", shown=progress) as bar:
            return forward(self.folded, split, bar.update)
