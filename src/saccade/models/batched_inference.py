"""From decoded images to probabilities, in batches: the same steps in validation and in inference."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

# 250 images of 32x32: in smaller batches each takes longer (in `classic` by 4% at 125, by 11% at 50), in larger ones
# hardly less (by 3% at 500), and they need more memory. Larger images go in smaller batches.
_PIXELS_PER_STEP = 250 * 32 * 32


def batch_slices(n: int, height: int, width: int) -> list[slice]:
    """Slices that cut n images into batches of about equal work."""
    batch = max(1, min(250, _PIXELS_PER_STEP // (height * width)))
    return [slice(start, min(start + batch, n)) for start in range(0, n, batch)]


def forward(
    model: keras.Model,
    take: Callable[[slice], NDArray[np.uint8]],
    n: int,
    advance: Callable[[int], object] | None = None,
) -> NDArray[np.float32]:
    """Runs the model over n images.

    Args:
        model: from pixels 0 to 255, [n, height, width, 3], to [n, classes].
        take: gives the images of a slice, uint8 [length, height, width, 3].
        n: number of images.
        advance: told after each batch how many images it held.

    Returns:
        The model's answers, float32 [n, classes], in the order of the images.
    """
    _, height, width, _ = model.input_shape
    outputs = np.empty((n, model.output_shape[-1]), np.float32)
    for step in batch_slices(n, height, width):
        outputs[step] = model.predict_on_batch(take(step))
        if advance is not None:
            advance(step.stop - step.start)
    return outputs
