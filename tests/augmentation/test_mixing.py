"""Mixup and CutMix against NumPy, and the distribution of their parameters.

Statistical bounds are five standard deviations wide: one assertion fails by chance once in 1.7 million seeds.
"""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.mixing import Mixing, mix_images, partners, sample_mixing

pytestmark = pytest.mark.backends

OFF = Augmentation(translate=0, horizontal_flip=False, rotation=0, integer_translate=False)
BATCHES = 4000


def mixed(images, mixing):
    result, share = mix_images(keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(mixing.as_array()))
    return keras.ops.convert_to_numpy(result), float(keras.ops.convert_to_numpy(share))


def batch(height=20, width=33):
    return np.random.default_rng(0).uniform(0, 255, (5, height, width, 3)).astype(np.float32)


def sampled(augmentation, seed=0, epoch=0):
    return [sample_mixing(augmentation, seed=seed, epoch=epoch, position=32 * i) for i in range(BATCHES)]


def test_mixup_averages_each_image_with_the_one_before_it():
    images = batch()
    result, share = mixed(images, Mixing(pastes=False, share=0.3, down=0.5, right=0.5))
    assert share == pytest.approx(0.3)
    for i in range(5):
        np.testing.assert_allclose(result[i], 0.3 * images[i] + 0.7 * images[i - 1], rtol=1e-5)


def pasted_box(share, down, right, height, width):
    """Compute the rectangle of torchvision's CutMix for a drawn center: top, bottom, left, right."""
    center_y, center_x = math.floor(down * height), math.floor(right * width)
    half = 0.5 * math.sqrt(1 - share)
    half_y, half_x = int(half * height), int(half * width)
    return (
        max(center_y - half_y, 0),
        min(center_y + half_y, height),
        max(center_x - half_x, 0),
        min(center_x + half_x, width),
    )


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
@pytest.mark.parametrize(
    ("share", "down", "right"), [(0.6, 0.51, 0.42), (0.12, 0.07, 0.93), (0.31, 0.99, 0.03), (0.999, 0.5, 0.5)]
)
def test_cutmix_pastes_the_rectangle_of_torchvision(size, share, down, right):
    images = batch(*size)
    result, kept = mixed(images, Mixing(pastes=True, share=share, down=down, right=right))
    top, bottom, first, last = pasted_box(share, down, right, *size)
    assert kept == pytest.approx(1 - (bottom - top) * (last - first) / (size[0] * size[1]), abs=1e-6)
    for i in range(5):
        expected = images[i].copy()
        expected[top:bottom, first:last] = images[i - 1][top:bottom, first:last]
        np.testing.assert_array_equal(result[i], expected)


def test_the_partner_of_a_label_is_the_label_before_it():
    labels = keras.ops.convert_to_numpy(partners(keras.ops.convert_to_tensor(np.array([3, 1, 4, 1, 5]))))
    np.testing.assert_array_equal(labels, [5, 3, 1, 4, 1])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_beta_distribution(alpha):
    for augmentation, pastes in ((replace(OFF, mixup=alpha), False), (replace(OFF, cutmix=alpha), True)):
        mixings = sampled(augmentation)
        assert {mixing.pastes for mixing in mixings} == {pastes}
        shares = np.array([mixing.share for mixing in mixings])
        assert ((shares >= 0) & (shares <= 1)).all()
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(shares.mean() - 0.5) < 5 * math.sqrt(variance / BATCHES)
        squares = (shares - 0.5) ** 2
        assert abs(squares.mean() - variance) < 5 * squares.std() / math.sqrt(BATCHES)
        centers = np.array([[mixing.down, mixing.right] for mixing in mixings])
        assert abs(centers.mean(axis=0) - 0.5).max() < 5 * math.sqrt(1 / 12 / BATCHES)


def test_with_both_each_takes_half_of_the_batches():
    pastes = [mixing.pastes for mixing in sampled(replace(OFF, mixup=0.4, cutmix=1))]
    assert abs(np.mean(pastes) - 0.5) < 5 * math.sqrt(0.25 / BATCHES)


def test_mixing_is_a_pure_function_of_seed_epoch_and_position():
    both = replace(OFF, mixup=0.4, cutmix=1)
    mixings = sampled(both, seed=2, epoch=3)
    assert mixings == sampled(both, seed=2, epoch=3)
    assert len(set(mixings)) == BATCHES
    assert set(mixings).isdisjoint(sampled(both, seed=2, epoch=4) + sampled(both, seed=3, epoch=3))
    assert sample_mixing(OFF, seed=2, epoch=3, position=0) is None
