"""Batches of the forward pass."""

import keras
import numpy as np
import pytest

from saccade.models.forward import forward, steps_of


@pytest.mark.parametrize(("height", "views"), [(32, 1), (32, 6), (224, 1), (224, 6), (1024, 6)])
def test_views_and_large_pictures_make_batches_smaller_but_leave_no_picture_out(height, views):
    steps = steps_of(1001, height, height, views)
    assert [i for step in steps for i in range(step.start, step.stop)] == list(range(1001))
    largest = max(step.stop - step.start for step in steps)
    assert largest * views * height**2 <= 250 * 32**2 or largest == 1


def test_answers_come_in_order_and_progress_adds_up():
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalMaxPooling2D()])
    pictures = np.random.default_rng(0).integers(0, 256, (301, 32, 32, 3), np.uint8)
    told: list[int] = []
    answers = forward(model, pictures.__getitem__, 301, told.append, views=6)
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(answers, pictures.max(axis=(1, 2)))
    assert sum(told) == 301
