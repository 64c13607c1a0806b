"""Batched inference: the same batches in validation and in prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, slices_of

# 250 images of 32x32 pixels. With smaller batches the time per image rises (`classic`: by 4% at 125 images, by 11% at
# 50); with larger batches it falls little (by 3% at 500), and they need more memory. Larger images: smaller batches.
_PIXELS_PER_BATCH = 250 * 32 * 32


def batch_slices(n: int, height: int, width: int) -> list[slice]:
    """Return slices that divide n images into batches; a batch of large images has fewer of them."""
    batch = max(1, min(250, _PIXELS_PER_BATCH // (height * width)))
    return slices_of(n, batch)


def image_batches(
    images: Split | NDArray[np.uint8], height: int, width: int
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Yield n images in the batches of `batch_slices`: positions, and pixels, uint8 [length, height, width, 3]."""
    slices = batch_slices(len(images), height, width)
    if isinstance(images, Split):
        yield from zip(slices, images.batches(slices), strict=True)
    else:
        yield from ((step, images[step]) for step in slices)


def forward(
    model: keras.Model, images: Split | NDArray[np.uint8], advance: Callable[[int], object] | None = None
) -> NDArray[np.float32]:
    """Run the forward pass of a model over n images.

    Args:
        model: model from pixels 0 to 255, [n, height, width, 3], to [n, classes].
        images: n images: a split, or an array of shape [n, height, width, 3], uint8.
        advance: callback after each batch, called with the number of images in the batch.

    Returns:
        Model outputs, float32 [n, classes], in the order of the images.
    """
    _, height, width, _ = model.input_shape
    outputs = np.empty((len(images), model.output_shape[-1]), np.float32)
    for step, pixels in image_batches(images, height, width):
        outputs[step] = model.predict_on_batch(pixels)
        if advance is not None:
            advance(step.stop - step.start)
    return outputs
