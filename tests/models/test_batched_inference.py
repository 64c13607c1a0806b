"""Batched inference."""

import keras
import numpy as np

from saccade.models.batched_inference import batch_slices, forward


def test_outputs_are_in_the_order_of_the_images_and_progress_sums_to_n():
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalMaxPooling2D()])
    images = np.random.default_rng(0).integers(0, 256, (301, 32, 32, 3), np.uint8)
    counts: list[int] = []
    outputs = forward(model, images, counts.append)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, images.max(axis=(1, 2)))
    assert sum(counts) == 301


def test_batches_cover_each_image_once_and_are_smaller_for_large_images():
    for n, height in ((0, 32), (1, 32), (250, 32), (1001, 32), (37, 224)):
        slices = batch_slices(n, height, height)
        assert [i for one in slices for i in range(one.start, one.stop)] == list(range(n))
    assert batch_slices(1000, 224, 224)[0].stop < batch_slices(1000, 32, 32)[0].stop
