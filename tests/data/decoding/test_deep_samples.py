"""Gray samples of more than eight bits."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.data.images import encode

from saccade.data.dataset import Preprocessing
from saccade.data.decoding.decode import decode
from saccade.errors import ImageError


def tiff(values):
    return encode(Image.fromarray(values), "TIFF")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [16, 14, 12, 10, 8])
def test_the_highest_used_bits_are_kept(kind, bits):
    values = np.random.default_rng(0).integers(0, 1 << bits, (300, 20)).astype(np.uint16)
    values[0, 0] = (1 << bits) - 1
    encoded = encode(Image.fromarray(values), kind)
    decoded = decode(encoded, Preprocessing(300, 20, sample_bits=bits))
    np.testing.assert_array_equal(decoded.pixels[:, :, 1], values >> (bits - 8))
    assert decoded.used_bits == bits
    by_high_byte = decode(encoded).pixels
    np.testing.assert_array_equal(by_high_byte[:, :, 2], values >> 8)


def test_larger_values_than_the_data_uses_are_white():
    values = np.array([[0, 4095, 4096, 65535]], np.uint16)
    assert decode(tiff(values), Preprocessing(1, 4, sample_bits=12)).pixels[0, :, 0].tolist() == [0, 255, 255, 255]


@pytest.mark.parametrize(
    ("values", "pixels"),
    [
        ([0.0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([0.0, 0.25, 2.0, 255.0], [0, 0, 2, 255]),
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
    ],
)
def test_floats_are_from_0_to_1_or_from_0_to_255(values, pixels):
    assert decode(tiff(np.array([values], np.float32))).pixels[0, :, 0].tolist() == pixels


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([[-0.5, 1]], np.float32), "values from -0.5 to 1: expected floats from 0 to 1, or from 0 to 255"),
        (np.array([[0, 3000]], np.float32), "values from 0 to 3000: expected floats from 0 to 1, or from 0 to 255"),
        (np.array([[0, np.nan]], np.float32), "values from nan to nan: expected floats from 0 to 1, or from 0 to 255"),
        (np.array([[0, np.inf]], np.float32), "values from 0 to inf: expected floats from 0 to 1, or from 0 to 255"),
        (np.array([[-7, 9]], np.int32), "values from -7 to 9: expected integers from 0 to 65535"),
        (np.array([[0, 70000]], np.int32), "values from 0 to 70000: expected integers from 0 to 65535"),
    ],
)
def test_other_ranges_are_unreadable_with_the_range(values, problem):
    with pytest.raises(ImageError) as caught:
        decode(tiff(values))
    assert caught.value.problem == problem


def test_a_transparent_gray_shows_the_background():
    values = np.arange(600, dtype=np.uint16).reshape(300, 2) * 100
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG", transparency=500)
    pixels = decode(stream.getvalue()).pixels
    assert pixels[2, 1].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(pixels[3:, :, 0], values[3:] >> 8)
