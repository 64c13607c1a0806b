"""Batches of the forward pass."""

import keras
import numpy as np

from saccade.models.batched_inference import forward


def test_answers_come_in_the_order_of_the_pictures_and_progress_adds_up():
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalMaxPooling2D()])
    pictures = np.random.default_rng(0).integers(0, 256, (301, 32, 32, 3), np.uint8)
    told: list[int] = []
    answers = forward(model, pictures.__getitem__, 301, told.append)
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(answers, pictures.max(axis=(1, 2)))
    assert sum(told) == 301
