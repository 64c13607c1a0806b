"""Predictor: the one way from images to probabilities."""

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
    """A run's network at its temperature, ready to answer.

    Attributes:
        model: from pixels 0 to 255, [n, height, width, 3], to probabilities [n, classes]; of stock Keras layers.
        folded: what answers in its place: the same, its normalization folded into the other layers.
        class_names: in the order of the probabilities.
    """

    model: keras.Model
    folded: keras.Model
    class_names: tuple[str, ...]

    @classmethod
    def from_run(cls, run: Run, *, tta_views: int | None = None) -> Predictor:
        """Rebuilds the network from the run's recipe and gives it the run's weights.

        Args:
            run: the run.
            tta_views: how many views of an image an answer is averaged over, if not as many as the recipe says.

        Raises:
            RunError: the run has no weights, or they don't fit its recipe.
            KerasError: Keras is set up in a way that Saccade can't work with.
        """
        require_keras_settings()
        weights = run.weights()
        height, width = run.preprocessing.height, run.preprocessing.width
        # A recipe from anyone may ask for a network beyond this machine: it is built if the weights for it are there.
        if dense_weights(run.recipe, height=height, width=width) > sum(weight.size for weight in weights.values()):
            raise RunError(f"the weights of '{run.path}' don't belong to its recipe: they are too few")
        model = build_probability_model(
            run.recipe, height=height, width=width, classes=len(run.class_names), tta_views=tta_views
        )
        assign(model, weights)
        divide_logits(model, run.temperature)
        return cls(model, fold_normalization(model), run.class_names)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of images uint8 [n, height, width, 3] made by the run's rule."""
        return forward(self.folded, images.__getitem__, len(images))

    def probabilities_of(self, split: Split, *, progress: bool = False) -> NDArray[np.float32]:
        """Class probabilities, float32 [n, classes], of a split's images, read in bounded chunks."""
        with counting("scoring", total=len(split), unit="images", shown=progress) as bar:
            return forward(self.folded, split.take, len(split), bar.update)
