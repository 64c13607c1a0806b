"""Parameters of the operations on pixels: functions of (seed, epoch, sample) with torchvision's distributions.

Statistical bounds are five standard deviations wide: one assertion fails by chance once in 1.7 million seeds.
"""

import math
import random
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.pixel_parameters import TRIVIAL_OPERATIONS, PixelParameters, sample_pixel_parameters
from saccade.recipes import ENTRIES, get_recipe

OFF = Augmentation(translate=0, horizontal_flip=False, rotation=0, integer_translate=False)
ALL = replace(
    OFF, horizontal_flip=True, crop_scale=0.3, vertical_flip=True, color_jitter=0.4, trivial_augment=True,
    random_erasing=0.5,
)  # fmt: skip
N = 20_000


def sampled(augmentation=ALL, n=N, size=(32, 40), seed=0, epoch=0, mirror=True):
    return sample_pixel_parameters(augmentation, np.arange(n), size, seed=seed, epoch=epoch, mirror=mirror)


def columns(parameters):
    return {field.name: getattr(parameters, field.name) for field in fields(PixelParameters)}


def assert_equal_means(values, expected):
    """Compare the means of two independent samples."""
    deviation = math.sqrt(np.var(values) / len(values) + np.var(expected) / len(expected))
    assert abs(np.mean(values) - np.mean(expected)) < 5 * deviation


def assert_equal_moments(boxes, expected):
    """Compare the means of the numbers of rectangles, and of their products."""
    for i in range(4):
        assert_equal_means(boxes[:, i], expected[:, i])
        for j in range(i, 4):
            assert_equal_means(boxes[:, i] * boxes[:, j], expected[:, i] * expected[:, j])


def assert_frequencies(values, expected):
    """Compare how often each of some equally frequent values comes."""
    found, counts = np.unique(values, return_counts=True, axis=0)
    np.testing.assert_array_equal(found, expected)
    share = 1 / len(expected)
    assert abs(counts / len(values) - share).max() < 5 * math.sqrt(share * (1 - share) / len(values))


def test_parameters_are_a_pure_function_of_seed_epoch_and_sample():
    few, many = columns(sampled(n=50, seed=3, epoch=5)), columns(sampled(n=500, seed=3, epoch=5))
    others = columns(sampled(n=50, seed=4, epoch=5)), columns(sampled(n=50, seed=3, epoch=6))
    chosen = np.array([40, 3, 3, 17])
    some = columns(sample_pixel_parameters(ALL, chosen, (32, 40), seed=3, epoch=5, mirror=True))
    for name, values in few.items():
        np.testing.assert_array_equal(values, many[name][:50])
        np.testing.assert_array_equal(values[chosen], some[name])
        assert all(not np.array_equal(values, other[name]) for other in others), name


def test_every_use_has_its_own_numbers():
    """A key that is switched off changes no parameter of another key."""
    whole = columns(sampled(n=100))
    switches: dict[str, Any] = {
        "crop_scale": 1.0,
        "vertical_flip": False,
        "color_jitter": 0.0,
        "trivial_augment": False,
    }
    own = {
        "crop_scale": {"crops"},
        "vertical_flip": {"upside_down"},
        "color_jitter": {"color_factors", "color_orders"},
        "trivial_augment": {"operations", "magnitudes"},
    }
    for key, off in switches.items():
        without = columns(sampled(replace(ALL, **{key: off}), n=100))
        changed = {name for name, values in whole.items() if not np.array_equal(values, without[name])}
        assert changed == own[key]


def test_no_operation_without_keys():
    still = sampled(OFF, n=10)
    np.testing.assert_array_equal(still.crops, [[0, 0, 32, 40]] * 10)
    assert not np.concatenate([still.mirrored, still.upside_down, still.operations, still.erased.ravel()]).any()
    assert (still.color_factors == 1).all()
    assert not OFF.changes_pixels


def test_no_recipe_changes_pixels_unless_asked():
    keys = {"crop_scale": 0.5, "vertical_flip": True, "color_jitter": 0.1, "trivial_augment": True, "random_erasing": 1}
    for entry in ENTRIES.values():
        augmentation = Augmentation.of(entry.recipe)
        assert augmentation.changes_pixels == (entry.recipe.name == "photo")
        assert augmentation.mixup == augmentation.cutmix == 0
        for key, value in keys.items():
            assert Augmentation.of(entry.recipe.with_settings({key: value})).changes_pixels
    assert Augmentation.of(get_recipe("fast").with_settings({"mixup": 0.2, "cutmix": 1})).mixup == 0.2


def torchvision_crop(draw, size, scale):
    """RandomResizedCrop.get_params of torchvision, with Python's random numbers: top, left, height, width."""
    height, width = size
    for _ in range(10):
        area = height * width * draw.uniform(*scale)
        ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return draw.randint(0, height - h), draw.randint(0, width - w), h, w
    if width / height < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif width / height > 4 / 3:
        w, h = round(height * 4 / 3), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


def torchvision_erasing(draw, size):
    """RandomErasing.get_params of torchvision, with Python's random numbers: top, left, height, width."""
    height, width = size
    for _ in range(10):
        area = height * width * draw.uniform(0.02, 0.33)
        ratio = math.exp(draw.uniform(math.log(0.3), math.log(3.3)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            return draw.randint(0, height - h), draw.randint(0, width - w), h, w
    return 0, 0, 0, 0


@pytest.mark.parametrize(("size", "scale"), [((32, 32), 0.08), ((32, 32), 0.6), ((20, 45), 0.5)])
def test_crops_have_the_distribution_of_torchvision(size, scale):
    crops = sampled(replace(OFF, crop_scale=scale), size=size).crops
    draw = random.Random(0)
    expected = np.array([torchvision_crop(draw, size, (scale, 1)) for _ in range(N)])
    assert (crops >= 0).all()
    assert (crops[:, :2] + crops[:, 2:] <= size).all()
    assert_equal_moments(crops, expected)


@pytest.mark.parametrize(("size", "crop"), [((10, 100), (0, 43, 10, 13)), ((100, 10), (43, 0, 13, 10))])
def test_a_crop_that_never_fits_is_the_center(size, crop):
    np.testing.assert_array_equal(sampled(replace(OFF, crop_scale=0.9), n=20, size=size).crops, [crop] * 20)


@pytest.mark.parametrize("size", [(32, 32), (20, 45), (8, 8)])
def test_erased_rectangles_have_the_distribution_of_torchvision(size):
    erased = sampled(replace(OFF, random_erasing=0.25), size=size).erased
    happens = erased[:, 2] > 0
    draw = random.Random(0)
    expected = np.array([torchvision_erasing(draw, size) for _ in range(N)])
    expected = expected[expected[:, 2] > 0]
    assert_equal_means(happens, np.resize([1, 0, 0, 0], N))
    assert (erased[:, :2] + erased[:, 2:] <= size).all()
    assert (erased[:, 2:] < size).all()
    assert_equal_moments(erased[happens], expected)


def test_a_random_half_is_upside_down_in_each_epoch():
    first, second = (sampled(epoch=epoch) for epoch in (0, 1))
    for one, other in (
        (first.upside_down, second.upside_down),
        (first.upside_down, first.mirrored),
        (second.upside_down, first.upside_down ^ first.mirrored),
    ):
        assert_frequencies(np.stack([one, other], axis=1), [[False, False], [False, True], [True, False], [True, True]])


def test_mirror_images_alternate_and_are_asked_for():
    first, second = (sampled(epoch=epoch).mirrored for epoch in (0, 1))
    np.testing.assert_array_equal(second, ~first)
    assert_frequencies(first, [False, True])
    assert not sampled(mirror=False).mirrored.any()
    assert not sampled(replace(ALL, horizontal_flip=False)).mirrored.any()


def test_color_factors_are_uniform_and_their_orders_equally_frequent():
    jitter = sampled(replace(OFF, color_jitter=0.4))
    assert abs(jitter.color_factors - 1).max() <= 0.4
    for values in jitter.color_factors.T:
        counts, _ = np.histogram(values, bins=10, range=(0.6, 1.4))
        assert abs(counts / N - 0.1).max() < 5 * math.sqrt(0.09 / N)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    assert_frequencies(jitter.color_orders, orders)
    assert abs(np.corrcoef(jitter.color_factors.T) - np.eye(3)).max() < 5 / math.sqrt(N)


def test_trivial_augment_draws_operations_magnitudes_and_signs_uniformly():
    drawn = sampled(replace(OFF, trivial_augment=True), n=100_000)
    assert_frequencies(drawn.operations, range(14))
    for number, operation in enumerate(TRIVIAL_OPERATIONS):
        own = drawn.magnitudes[drawn.operations == number]
        assert np.isin(abs(own), operation.magnitudes).all()
        if len(np.unique(operation.magnitudes)) == 31:
            assert_frequencies(abs(own), np.sort(operation.magnitudes))
        if operation.signed:
            assert_equal_means(own[own != 0] > 0, np.resize([0, 1], len(own)))
        else:
            assert (own >= 0).all()


def test_the_ranges_of_trivial_augment_are_those_of_torchvision():
    ranges = {operation.name: (*operation.magnitudes[[0, -1]], operation.signed) for operation in TRIVIAL_OPERATIONS}
    assert ranges == {
        "Identity": (0, 0, False), "ShearX": (0, 0.99, True), "ShearY": (0, 0.99, True), "TranslateX": (0, 32, True),
        "TranslateY": (0, 32, True), "Rotate": (0, 135, True), "Brightness": (0, 0.99, True), "Color": (0, 0.99, True),
        "Contrast": (0, 0.99, True), "Sharpness": (0, 0.99, True), "Posterize": (8, 2, False),
        "Solarize": (255, 0, False), "AutoContrast": (0, 0, False), "Equalize": (0, 0, False),
    }  # fmt: skip
    bits = next(operation.magnitudes for operation in TRIVIAL_OPERATIONS if operation.name == "Posterize")
    # round(n / 5) of torchvision, where no n / 5 is halfway between two numbers
    np.testing.assert_array_equal(bits, [8] * 3 + [7] * 5 + [6] * 5 + [5] * 5 + [4] * 5 + [3] * 5 + [2] * 3)
