"""Batches of the forward pass."""

import keras
import numpy as np

from saccade.models.batched_inference import forward


def test_predictions_come_in_the_order_of_the_images_and_progress_adds_up():
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalMaxPooling2D()])
    images = np.random.default_rng(0).integers(0, 256, (301, 32, 32, 3), np.uint8)
    counts: list[int] = []
    outputs = forward(model, images.__getitem__, 301, counts.append)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, images.max(axis=(1, 2)))
    assert sum(counts) == 301
