"""Corruptions against their definitions and other implementations."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import shift as scipy_shift
from sklearn.datasets import load_sample_image

from saccade.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
EACH = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
ROWS = np.arange(100, 112)


@pytest.fixture(scope="module")
def images():
    """Twelve crops of a photograph, 32x40 pixels."""
    photograph = Image.fromarray(load_sample_image("china.jpg")).resize((160, 96), Image.Resampling.BICUBIC)
    pixels = np.asarray(photograph)
    return np.stack([pixels[32 * i : 32 * i + 32, 40 * j : 40 * j + 40] for i in range(3) for j in range(4)])


def test_there_are_seven_corruptions_of_five_strengths():
    assert list(BY_NAME) == ["noise", "blur", "brightness", "contrast", "JPEG", "shift", "rotation"]
    assert STRENGTHS == (1, 2, 3, 4, 5)


@EACH
def test_strength_0_changes_nothing_and_the_argument_is_not_modified(corruption, images):
    before = images.copy()
    np.testing.assert_array_equal(corruption(images, 0, ROWS), before)
    for strength in STRENGTHS:
        made = corruption(images, strength, ROWS)
        assert (made.dtype, made.shape) == (np.uint8, images.shape)
        assert not np.shares_memory(made, images)
    np.testing.assert_array_equal(images, before)


@EACH
def test_larger_strengths_change_images_more(corruption, images):
    changes = [np.abs(corruption(images, strength, ROWS).astype(float) - images).mean() for strength in (0, *STRENGTHS)]
    assert np.all(np.diff(changes) > 0), changes


@EACH
def test_a_corruption_is_independent_of_the_other_images(corruption, images):
    expected = corruption(images, 3, ROWS)
    np.testing.assert_array_equal(corruption(images, 3, ROWS), expected)
    for few in (slice(5, 6), slice(3, 9), [11, 0, 7]):
        np.testing.assert_array_equal(corruption(images[few], 3, ROWS[few]), expected[few])


def test_noise_has_its_standard_deviation_and_is_independent_for_each_image():
    gray = np.full((50, 32, 32, 3), 128, np.uint8)
    noise = BY_NAME["noise"]
    made = noise(gray, 5, np.arange(50)).astype(float) - 128
    assert made.std() == pytest.approx(noise.amounts[4], rel=0.02)
    assert abs(made.mean()) < 0.5
    assert abs(np.corrcoef(made[0].ravel(), made[1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(made[..., 0].ravel(), made[..., 1].ravel())[0, 1]) < 0.05


def test_a_blurred_point_is_a_gaussian():
    point = np.zeros((1, 64, 64, 3), np.uint8)
    point[0, 32, 32] = 255
    blur = BY_NAME["blur"]
    made = blur(np.repeat(point, 2, axis=0), 5, np.arange(2))[0, :, :, 0].astype(float)
    sigma = blur.amounts[4] * 64
    distance = np.arange(64) - 32
    expected = 255 * np.exp(-(distance[:, None] ** 2 + distance[None] ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    np.testing.assert_allclose(made, expected, atol=0.6)


def test_brightness_changes_all_pixels_of_an_image_by_the_same_amount():
    gray = np.full((40, 8, 8, 3), 128, np.uint8)
    made = BY_NAME["brightness"](gray, 2, np.arange(40)).astype(int) - 128
    assert set(np.unique(made)) == {-50, 50}
    assert all(len(np.unique(image)) == 1 for image in made)
    assert 8 <= (made[:, 0, 0, 0] > 0).sum() <= 32


def test_contrast_is_scaled_around_the_mean_color(images):
    made = BY_NAME["contrast"](images, 2, ROWS).astype(float)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=0.5)
    assert made.std(axis=(1, 2)) == pytest.approx(0.5 * images.std(axis=(1, 2)), abs=0.5)


def test_jpeg_is_that_of_pillow(images):
    for quality, strength in zip(BY_NAME["JPEG"].amounts, STRENGTHS, strict=True):
        stream = io.BytesIO()
        Image.fromarray(images[4]).save(stream, "JPEG", quality=int(quality))
        made = BY_NAME["JPEG"](images[4:5], strength, ROWS[:1])
        np.testing.assert_array_equal(made[0], np.asarray(Image.open(stream)))


def test_shifts_are_those_of_scipy_in_many_directions(images):
    square = images[:, :, :32]
    made = BY_NAME["shift"](square, 4, ROWS)
    offsets = set()
    for image, shifted in zip(square, made, strict=True):
        fits = [
            (down, right)
            for down in range(-8, 9)
            for right in range(-8, 9)
            if np.array_equal(scipy_shift(image, (down, right, 0), order=0, mode="nearest"), shifted)
        ]
        assert len(fits) == 1
        assert np.hypot(*fits[0]) == pytest.approx(0.25 * 32, abs=0.75)
        offsets.add(fits[0])
    assert len(offsets) > 8


def test_rotations_are_those_of_pillow_in_both_directions(images):
    made = BY_NAME["rotation"](images, 3, ROWS)
    directions = set()
    for image, rotated in zip(images, made, strict=True):
        gaps = {}
        for degrees in (-15, 15):
            expected = np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR), float)
            gaps[degrees] = np.abs(expected - rotated)[8:24, 10:30].mean()
        best = min(gaps, key=lambda degrees: gaps[degrees])
        assert gaps[best] < 1 < gaps[-best]
        directions.add(best)
    assert directions == {-15, 15}
