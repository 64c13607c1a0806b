"""Operations on pixels against Pillow's own functions and against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.pixel_operations import apply_pixel_operations, augment_pixels, trivially_augmented
from saccade.augmentation.pixel_parameters import PixelParameters, sample_pixel_parameters

OFF = Augmentation(translate=0, horizontal_flip=False, rotation=0, integer_translate=False)
ALL = replace(
    OFF, horizontal_flip=True, crop_scale=0.3, vertical_flip=True, color_jitter=0.4, trivial_augment=True,
    random_erasing=0.5,
)  # fmt: skip
# A part of a photograph, higher than wide.
PIXELS = np.ascontiguousarray(load_sample_images().images[0][100:148, 200:240])
IMAGE = Image.fromarray(PIXELS)
HEIGHT, WIDTH = PIXELS.shape[:2]


def applied(**changes):
    """Apply operations to PIXELS, by changes of the parameters of no operation."""
    still = vars(sample_pixel_parameters(OFF, np.zeros(1, np.int64), (HEIGHT, WIDTH), seed=0, epoch=0))
    given = {name: np.array([value], still[name].dtype) for name, value in changes.items()}
    return apply_pixel_operations(PIXELS[None], PixelParameters(**{**still, **given}))[0]


def photographs(n):
    """Return n different parts of a photograph, uint8 [n, 24, 32, 3]."""
    photograph = load_sample_images().images[1]
    return np.stack([photograph[7 * i : 7 * i + 24, 11 * i : 11 * i + 32] for i in range(n)])


def sheared(image, magnitude):
    """Compute the reference of ShearX: the nearest pixel, black outside."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    source = np.floor(columns + 0.5 + magnitude * (rows + 0.5)).astype(int)
    inside = (source >= 0) & (source < image.shape[1])
    return np.where(inside[..., None], image[rows, source.clip(0, image.shape[1] - 1)], 0)


def translated(image, right):
    result = np.zeros_like(image)
    if right >= 0:
        result[:, right:] = image[:, : image.shape[1] - right]
    else:
        result[:, :right] = image[:, -right:]
    return result


def transposed(function, value):
    return np.swapaxes(function(np.swapaxes(PIXELS, 0, 1), value), 0, 1)


def blended(other, factor):
    """Compute the reference of the enhancements: other + factor * (image - other), rounded down, in 0 to 255."""
    return np.floor((other + factor * (PIXELS - np.asarray(other, np.float64))).clip(0, 255))


def gray():
    """Return gray levels by ITU-R 601-2, as Pillow's mode L has them, [height, width, 1]."""
    return np.asarray(IMAGE.convert("L"), np.float64)[..., None]


SMOOTH = np.asarray(IMAGE.filter(ImageFilter.SMOOTH), np.float64)
# Operation, magnitude, reference, and the largest difference in gray levels: of rounding, where it is not 0.
TRIVIAL = [
    ("Identity", 0, PIXELS, 0),
    ("ShearX", 0.33, sheared(PIXELS, 0.33), 0),
    ("ShearX", -0.99, sheared(PIXELS, -0.99), 0),
    ("ShearY", 0.561, transposed(sheared, 0.561), 0),
    ("TranslateX", 5.33, translated(PIXELS, 5), 0),
    ("TranslateX", -7.47, translated(PIXELS, -7), 0),
    ("TranslateX", 32, translated(PIXELS, 32), 0),
    ("TranslateY", -32, transposed(translated, -32), 0),
    ("TranslateY", 10.67, transposed(translated, 10), 0),
    ("Rotate", 31.5, np.asarray(IMAGE.rotate(31.5)), 0),
    ("Rotate", -135, np.asarray(IMAGE.rotate(-135)), 0),
    ("Brightness", 0.5, blended(0, 1.5), 1),
    ("Brightness", -0.99, blended(0, 0.01), 1),
    ("Contrast", 0.9, blended(round(gray().mean()), 1.9), 1),
    ("Contrast", -0.4, blended(round(gray().mean()), 0.6), 1),
    ("Color", 0.7, blended(gray(), 1.7), 1),
    ("Color", -0.99, blended(gray(), 0.01), 1),
    ("Sharpness", 0.99, blended(SMOOTH, 1.99), 1),
    ("Sharpness", -0.5, blended(SMOOTH, 0.5), 1),
    ("Posterize", 2, PIXELS & 0b11000000, 0),
    ("Posterize", 5, PIXELS & 0b11111000, 0),
    ("Posterize", 8, PIXELS, 0),
    ("Solarize", 93.5, np.where(PIXELS < 93.5, PIXELS, 255 - PIXELS), 0),
    ("Solarize", 0, 255 - PIXELS, 0),
    ("AutoContrast", 0, np.asarray(ImageOps.autocontrast(IMAGE)), 0),
    ("Equalize", 0, np.asarray(ImageOps.equalize(IMAGE)), 0),
]


@pytest.mark.parametrize(("name", "magnitude", "expected", "tolerance"), TRIVIAL)
def test_operations_of_trivial_augment_agree_with_numpy_and_pillow(name, magnitude, expected, tolerance):
    result = np.asarray(trivially_augmented(IMAGE, name, magnitude))
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, np.asarray(expected, np.float64), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["Brightness", "Contrast", "Color", "Sharpness"])
def test_enhancements_are_those_of_pillow_to_the_bit(name):
    expected = getattr(ImageEnhance, name)(IMAGE).enhance(1.37)
    np.testing.assert_array_equal(trivially_augmented(IMAGE, name, 0.37), expected)


@pytest.mark.parametrize("crop", [(3, 5, 20, 17), (0, 0, HEIGHT, WIDTH - 1), (40, 30, 1, 2)])
def test_a_resized_crop_is_that_of_pillow(crop):
    top, left, height, width = crop
    part = Image.fromarray(PIXELS[top : top + height, left : left + width].copy())
    expected = part.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(applied(crops=crop), expected)


def test_flips_are_those_of_numpy():
    np.testing.assert_array_equal(applied(mirrored=True), PIXELS[:, ::-1])
    np.testing.assert_array_equal(applied(upside_down=True), PIXELS[::-1])
    np.testing.assert_array_equal(applied(mirrored=True, upside_down=True), PIXELS[::-1, ::-1])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_color_jitter_is_that_of_pillow_in_the_drawn_order(order):
    operations, factors = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), (1.3, 0.7, 1.25)
    expected = IMAGE
    for number in order:
        expected = operations[number](expected).enhance(factors[number])
    np.testing.assert_array_equal(applied(color_factors=factors, color_orders=order), expected)


def test_an_erased_rectangle_has_the_mean_color():
    expected = PIXELS.copy()
    expected[10:30, 4:9] = np.rint(PIXELS.reshape(-1, 3).astype(np.float64).mean(axis=0))
    np.testing.assert_array_equal(applied(erased=(10, 4, 20, 5)), expected)


def test_operations_are_applied_in_the_documented_order():
    result = applied(
        crops=(3, 5, 20, 17), mirrored=True, upside_down=True, color_factors=(1.2, 1, 0.8), operations=9,
        magnitudes=0.5, erased=(1, 2, 3, 4),
    )  # fmt: skip
    image = IMAGE.crop((5, 3, 22, 23)).resize(IMAGE.size, Image.Resampling.BILINEAR)
    image = ImageOps.flip(ImageOps.mirror(image))
    image = ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.2)).enhance(0.8)
    expected = np.array(ImageEnhance.Sharpness(image).enhance(1.5))
    expected[1:4, 2:6] = np.rint(expected.mean(axis=(0, 1)))
    np.testing.assert_array_equal(result, expected)


def test_the_result_for_a_sample_does_not_depend_on_the_batch():
    images, samples = photographs(30), np.arange(30) * 3
    before = images.copy()
    together = augment_pixels(images, samples, ALL, seed=5, epoch=2, mirror=True)
    np.testing.assert_array_equal(images, before)
    assert together.shape == images.shape
    assert together.dtype == np.uint8
    assert sum(np.array_equal(one, other) for one, other in zip(together, images, strict=True)) == 0
    some = np.array([17, 2, 29])
    np.testing.assert_array_equal(
        augment_pixels(images[some], samples[some], ALL, seed=5, epoch=2, mirror=True), together[some]
    )
    for seed, epoch in ((6, 2), (5, 3)):
        other = augment_pixels(images, samples, ALL, seed=seed, epoch=epoch, mirror=True)
        assert not np.array_equal(other, together)


def test_of_two_epochs_one_has_the_mirror_image_where_that_is_asked_for():
    images, samples = photographs(12), np.arange(12)
    flips = replace(OFF, horizontal_flip=True)
    augmented = [augment_pixels(images, samples, flips, seed=1, epoch=epoch, mirror=True) for epoch in (0, 1)]
    for image, one, other in zip(images, *augmented, strict=True):
        assert sorted([np.array_equal(one, image), np.array_equal(other, image)]) == [False, True]
        np.testing.assert_array_equal(one, other[:, ::-1])
    np.testing.assert_array_equal(augment_pixels(images, samples, flips, seed=1, epoch=0), images)


def test_no_images_stay_no_images():
    none = np.empty((0, 24, 32, 3), np.uint8)
    assert augment_pixels(none, np.empty(0, np.int64), ALL, seed=0, epoch=0).shape == none.shape
